"""Settings and search space of each agent, one module per agent; no agent is imported here."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.config.agents.a2c import A2CSettings as A2CSettings
    from hsrl_pipeline.config.agents.ddpg import DDPGSettings as DDPGSettings
    from hsrl_pipeline.config.agents.hac import HACSettings as HACSettings
    from hsrl_pipeline.config.agents.hsrl import HsrlSettings as HsrlSettings
    from hsrl_pipeline.config.agents.hsrl_paper import HsrlPaperSettings as HsrlPaperSettings
    from hsrl_pipeline.config.agents.pg_ra import PGRASettings as PGRASettings
    from hsrl_pipeline.config.agents.search_space import Choice as Choice
    from hsrl_pipeline.config.agents.search_space import Interval as Interval
    from hsrl_pipeline.config.agents.search_space import SearchSpace as SearchSpace
    from hsrl_pipeline.config.agents.shared import AgentSettings as AgentSettings
    from hsrl_pipeline.config.agents.sl import SupervisedSettings as SupervisedSettings
    from hsrl_pipeline.config.agents.td3 import TD3Settings as TD3Settings
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".a2c": ["A2CSettings"],
            ".ddpg": ["DDPGSettings"],
            ".hac": ["HACSettings"],
            ".hsrl": ["HsrlSettings"],
            ".hsrl_paper": ["HsrlPaperSettings"],
            ".pg_ra": ["PGRASettings"],
            ".search_space": ["Choice", "Interval", "SearchSpace"],
            ".shared": ["AgentSettings"],
            ".sl": ["SupervisedSettings"],
            ".td3": ["TD3Settings"],
        },
    )
