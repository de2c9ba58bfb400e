"""The learned user, the session dynamics and the environments built from them."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.simulator.response.protocol import Response as Response
    from hsrl_pipeline.simulator.session_data import SessionData as SessionData
    from hsrl_pipeline.simulator.session_setting import SessionSetting as SessionSetting
    from hsrl_pipeline.simulator.slate_env import SlateSessions as SlateSessions
    from hsrl_pipeline.simulator.slate_env import StepResult as StepResult
    from hsrl_pipeline.simulator.user_pool import UserPool as UserPool
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".response.protocol": ["Response"],
            ".session_data": ["SessionData"],
            ".session_setting": ["SessionSetting"],
            ".slate_env": ["SlateSessions", "StepResult"],
            ".user_pool": ["UserPool"],
        },
    )
