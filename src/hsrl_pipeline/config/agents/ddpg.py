"""``ddpg``: settings of the deterministic actor-critic and the space to search them in."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from hsrl_pipeline.config.agents.search_space import (
    LEARNING_RATE,
    SMALL_LEARNING_RATE,
    Choice,
    Interval,
    SearchSpace,
)
from hsrl_pipeline.config.agents.shared import HyperActionSettings


class DDPGSettings(HyperActionSettings):
    """Settings of ``ddpg``; a positive ``behavior_coef`` makes it behaviour-regularised."""

    search_space: ClassVar[SearchSpace] = {
        "learning_rate": SMALL_LEARNING_RATE,
        "critic_learning_rate": LEARNING_RATE,
        "exploration_noise_std": Interval(0.05, 5.0),
        "latent_size": Choice((16, 32, 64)),
    }

    learning_rate: float = Field(3e-4, gt=0.0, le=1.0, description="Step size of the actor")
    latent_size: int = Field(32, ge=1, le=1024, description="Width of the hyper-action")
    behavior_coef: float = Field(
        0.0, ge=0.0, description="Weight of the click loss of the actor on logged slates; 0 is off"
    )
    log_batch_size: int = Field(64, ge=1, description="Logged slates per update, if regularised")
