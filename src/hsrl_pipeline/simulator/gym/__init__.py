"""The sessions as Gymnasium environments, with wrappers for other action spaces."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.simulator.gym.action_decoders import ActionDecoder as ActionDecoder
    from hsrl_pipeline.simulator.gym.action_decoders import HyperActionDecoder as HyperActionDecoder
    from hsrl_pipeline.simulator.gym.action_decoders import (
        SemanticTokenDecoder as SemanticTokenDecoder,
    )
    from hsrl_pipeline.simulator.gym.action_wrappers import DecodedActions as DecodedActions
    from hsrl_pipeline.simulator.gym.action_wrappers import (
        DecodedVectorActions as DecodedVectorActions,
    )
    from hsrl_pipeline.simulator.gym.env import SlateRecEnv as SlateRecEnv
    from hsrl_pipeline.simulator.gym.env import SlateRecVectorEnv as SlateRecVectorEnv
    from hsrl_pipeline.simulator.gym.registration import ENVIRONMENT_ID as ENVIRONMENT_ID
    from hsrl_pipeline.simulator.gym.registration import (
        register_environments as register_environments,
    )
    from hsrl_pipeline.simulator.gym.spaces import SlateSpace as SlateSpace
    from hsrl_pipeline.simulator.gym.state_features import StateFeatures as StateFeatures
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".action_decoders": ["ActionDecoder", "HyperActionDecoder", "SemanticTokenDecoder"],
            ".action_wrappers": ["DecodedActions", "DecodedVectorActions"],
            ".env": ["SlateRecEnv", "SlateRecVectorEnv"],
            ".registration": ["ENVIRONMENT_ID", "register_environments"],
            ".spaces": ["SlateSpace"],
            ".state_features": ["StateFeatures"],
        },
    )
