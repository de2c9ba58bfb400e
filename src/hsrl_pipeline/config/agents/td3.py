"""``td3``: settings of the twin-critic agent and the space to search them in."""

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


class TD3Settings(HyperActionSettings):
    """Settings of ``td3``: twin critics, delayed actor, smoothed targets."""

    search_space: ClassVar[SearchSpace] = {
        "learning_rate": SMALL_LEARNING_RATE,
        "critic_learning_rate": LEARNING_RATE,
        "exploration_noise_std": Interval(0.05, 5.0),
        "latent_size": Choice((16, 32, 64)),
    }

    learning_rate: float = Field(3e-4, gt=0.0, le=1.0, description="Step size of the actor")
    latent_size: int = Field(32, ge=1, le=1024, description="Width of the hyper-action")
    policy_delay: int = Field(2, ge=1, description="Critic updates per actor update")
    target_noise_std: float = Field(
        0.2, ge=0.0, le=2.0, description="Noise on the target action, per dimension"
    )
    target_noise_clip: float = Field(0.5, gt=0.0, description="Bound of the target noise")
