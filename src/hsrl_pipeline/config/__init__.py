"""Typed, frozen parameters: what a run may be told, with units and ranges."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.config.agent import AgentConfig as AgentConfig
    from hsrl_pipeline.config.agent import AgentsConfig as AgentsConfig
    from hsrl_pipeline.config.base import FrozenConfig as FrozenConfig
    from hsrl_pipeline.config.catalogue import CatalogueConfig as CatalogueConfig
    from hsrl_pipeline.config.evaluation import EvaluationConfig as EvaluationConfig
    from hsrl_pipeline.config.ingestion import IngestionConfig as IngestionConfig
    from hsrl_pipeline.config.root import Parameters as Parameters
    from hsrl_pipeline.config.root import validate_parameters as validate_parameters
    from hsrl_pipeline.config.search import SearchConfig as SearchConfig
    from hsrl_pipeline.config.session import CandidatesConfig as CandidatesConfig
    from hsrl_pipeline.config.session import RewardConfig as RewardConfig
    from hsrl_pipeline.config.session import SessionConfig as SessionConfig
    from hsrl_pipeline.config.sid import SidConfig as SidConfig
    from hsrl_pipeline.config.simulator import SimulatorConfig as SimulatorConfig
    from hsrl_pipeline.config.training import TrainingConfig as TrainingConfig
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".agent": ["AgentConfig", "AgentsConfig"],
            ".base": ["FrozenConfig"],
            ".catalogue": ["CatalogueConfig"],
            ".evaluation": ["EvaluationConfig"],
            ".ingestion": ["IngestionConfig"],
            ".root": ["Parameters", "validate_parameters"],
            ".search": ["SearchConfig"],
            ".session": ["CandidatesConfig", "RewardConfig", "SessionConfig"],
            ".sid": ["SidConfig"],
            ".simulator": ["SimulatorConfig"],
            ".training": ["TrainingConfig"],
        },
    )
