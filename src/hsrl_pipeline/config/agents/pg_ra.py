"""``pg_ra``: settings of the policy gradient in a learned space and the space to search them in."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from hsrl_pipeline.config.agents.search_space import LEARNING_RATE, Choice, Interval, SearchSpace
from hsrl_pipeline.config.agents.shared import DiscountedSettings, EntropySettings, ExperienceKind


class PGRASettings(EntropySettings, DiscountedSettings):
    """Settings of ``pg_ra``, policy gradient in a learned space of action representations."""

    experience: ClassVar[ExperienceKind] = "fresh"
    search_space: ClassVar[SearchSpace] = {
        "learning_rate": LEARNING_RATE,
        "initial_std": Interval(0.1, 1.0),
        "representation_coef": Interval(0.03, 3.0),
        "latent_size": Choice((16, 32, 64)),
    }

    latent_size: int = Field(16, ge=1, le=1024, description="Width of an action representation")
    hidden_size: int = Field(128, ge=1, description="Hidden width of policy, value and inference")
    entropy_coef: float = Field(
        0.001, ge=0.0, description="Weight of the internal Gaussian policy's entropy, in nats"
    )
    value_coef: float = Field(0.5, ge=0.0, description="Weight of the squared value error")
    representation_coef: float = Field(
        1.0, ge=0.0, description="Weight of the supervised loss of the representations"
    )
    initial_std: float = Field(
        0.3, gt=0.0, le=2.0, description="Initial standard deviation of the internal policy"
    )
    advantage_clip: float = Field(1.0, gt=0.0, description="Bound of the advantage either way")
