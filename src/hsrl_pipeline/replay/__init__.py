"""Stored transitions."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.replay.replay_buffer import ReplayBuffer as ReplayBuffer
    from hsrl_pipeline.replay.transitions import TransitionBatch as TransitionBatch
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".replay_buffer": ["ReplayBuffer"],
            ".transitions": ["TransitionBatch"],
        },
    )
