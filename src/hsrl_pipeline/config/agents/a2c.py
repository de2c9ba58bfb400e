"""``a2c``: settings of the item-level actor-critic and the space to search them in."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from hsrl_pipeline.config.agents.search_space import LEARNING_RATE, Choice, Interval, SearchSpace
from hsrl_pipeline.config.agents.shared import (
    DiscountedSettings,
    EntropySettings,
    ExperienceKind,
    NewItemRule,
)


class A2CSettings(EntropySettings, DiscountedSettings):
    """Settings of ``a2c``, the item-level softmax policy with a state-value baseline."""

    experience: ClassVar[ExperienceKind] = "fresh"
    search_space: ClassVar[SearchSpace] = {
        "learning_rate": LEARNING_RATE,
        "entropy_coef": Interval(1e-4, 3e-1),
        "value_coef": Interval(0.1, 2.0),
        "gamma": Choice((0.0, 0.5, 0.9)),
    }

    entropy_coef: float = Field(
        0.01, ge=0.0, description="Weight of the item distribution's entropy, in nats"
    )
    value_coef: float = Field(0.5, ge=0.0, description="Weight of the squared value error")
    value_hidden_size: int = Field(64, ge=1, description="Hidden width of the value head")
    advantage_clip: float = Field(1.0, gt=0.0, description="Bound of the advantage either way")
    new_items: NewItemRule = Field(
        "mean",
        description="Weights of an item that arrives later: no vector of its own and the mean "
        "bias, or both predicted from its item vector by ridge regression",
    )
