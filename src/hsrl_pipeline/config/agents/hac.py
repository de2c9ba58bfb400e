"""``hac``: settings of the hyper-actor critic and the space to search them in."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from hsrl_pipeline.config.agents.search_space import LEARNING_RATE, Interval, SearchSpace
from hsrl_pipeline.config.agents.shared import HyperActionSettings


class HACSettings(HyperActionSettings):
    """Settings of ``hac``; the three coefficients are the components of its ablation."""

    search_space: ClassVar[SearchSpace] = {
        "learning_rate": LEARNING_RATE,
        "policy_coef": Interval(3e-4, 3.0),
        "alignment_coef": Interval(3e-4, 1.0),
        "exploration_noise_std": Interval(0.02, 2.0),
    }

    policy_coef: float = Field(0.1, ge=0.0, description="Weight of the hyper-actor's Q loss")
    alignment_coef: float = Field(
        0.1, ge=0.0, description="Weight of the distance between hyper-action and its slate's"
    )
    supervision_coef: float = Field(
        1.0, ge=0.0, description="Weight of the click loss on replayed slates"
    )
    sample_items: bool = Field(
        True, description="Explore by drawing items from the softmax of scores; false: top-K"
    )
