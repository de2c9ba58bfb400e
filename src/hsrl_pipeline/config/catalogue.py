"""Parameters of the catalogue: fixed, or moving while agents learn and serve."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from hsrl_pipeline.config.base import FrozenConfig

ChangeAt = Annotated[float, Field(gt=0.0, lt=1.0)]
Updates = Annotated[int, Field(ge=0, le=10_000_000)]

UPPER_REFERENCE = "greedy_full_knowledge"
"""The policy that regret is counted from: it knows all items."""

OF_A_RUN = (
    "schedule",
    "modes",
    "serving_updates",
    "retraining_budget",
    "served_slates",
    "codes",
    "references",
)
"""Fields that say what a run does on a schedule; all others say how the schedule is drawn."""


class CatalogueConfig(FrozenConfig):
    """Which items are live, and when that changes (docs/moving_catalogue.md)."""

    schedule: Literal["fixed", "moving"] = Field(
        "fixed", description="fixed: all items are live all the time; moving: a drawn schedule"
    )
    draw: int = Field(
        0,
        ge=0,
        description="Which schedule of the seed: others have other launch items, arrivals and "
        "releases, and all else stays as it is",
    )
    arm: Literal["arrivals", "releases", "both"] = Field(
        "both", description="What a change does: items arrive, items are released, or both"
    )
    launch_share: float = Field(
        0.7, gt=0.0, le=1.0, description="Share of all items that are live at launch"
    )
    n_changes: int = Field(5, ge=1, le=1000, description="Changes of the catalogue")
    block_share: float = Field(
        0.06, ge=0.0, lt=1.0, description="Share of all items that arrive with each change"
    )
    release_share: float = Field(
        0.06, ge=0.0, lt=1.0, description="Share of the live items that each change releases"
    )
    best_share: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="Share of the released items that is drawn from the best live items, but at "
        "most this share of these; the others are drawn from all live items",
    )
    best_of: int = Field(
        50, ge=1, description="Number of best live items, in the order of the static slate"
    )
    stratum_size: int = Field(
        50,
        ge=1,
        description="Items of neighbouring rank that are split alike into launch and blocks",
    )
    arrival_order: Literal["release_times", "hash"] = Field(
        "release_times",
        description="Order in which items arrive: by release time where the log has one, or drawn",
    )
    change_at: tuple[ChangeAt, ...] | None = Field(
        None,
        description="When each change comes in training, as a share of training.n_iterations, in "
        "(0, 1), ascending; null spreads them evenly over its second half",
    )
    modes: tuple[Literal["training", "serving", "retraining"], ...] = Field(
        ("training", "serving"),
        description="How policies live through the changes: training, where changes come while an "
        "agent learns; serving, where it has learned at launch; retraining, where one is trained "
        "from scratch after each change (a control)",
    )
    serving_updates: tuple[Updates, ...] = Field(
        (0, 500),
        description="Updates after each change at which policies are judged, ascending; right "
        "after the change they are always judged, as a frozen policy",
    )
    retraining_budget: int = Field(
        20_000,
        ge=1,
        le=10_000_000,
        description="Most updates after a change of a policy that is trained from scratch then; "
        "below that, as many as the policy that served has had in all (mode retraining)",
    )
    served_slates: int = Field(
        0,
        ge=0,
        le=10_000_000,
        description="Slates that a policy without updates serves to training users in the training "
        "simulator under each version of the catalogue before the next change, where it follows "
        "clicks (agents.hsrl.arrival_prior)",
    )
    codes: Literal["published", "shuffled"] = Field(
        "published",
        description="Semantic IDs as published, or dealt out by the seed among the items of the "
        "launch and of each arriving block: codes of the same shape without meaning (a control)",
    )
    references: Literal["all", "few"] = Field(
        "all",
        description="Policies that do not learn: all of them, or few, without those that have to "
        "be fitted under every version or on what is known at launch",
    )

    @property
    def change_times(self) -> tuple[float, ...]:
        """When each change comes, as a share of the training."""
        if self.change_at is not None:
            return self.change_at
        return tuple(0.5 + 0.5 * number / self.n_changes for number in range(self.n_changes))

    @property
    def drawn_from(self) -> dict[str, Any]:
        """The parameters that decide the schedule, as JSON-able values."""
        return self.model_dump(mode="json", exclude=set(OF_A_RUN))

    @property
    def updates_after_change(self) -> tuple[int, ...]:
        """Numbers of updates after each change at which policies are judged, without 0."""
        return tuple(updates for updates in self.serving_updates if updates)

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        total = self.launch_share + self.n_changes * self.block_share
        if total > 1.0 + 1e-9:
            raise ValueError(
                f"launch_share ({self.launch_share}) and {self.n_changes} blocks of block_share "
                f"({self.block_share}) are {total:.3g} of all items, at most 1 is there"
            )
        times = list(self.change_times)
        if len(times) != self.n_changes:
            raise ValueError(
                f"change_at lists {len(times)} times, but n_changes is {self.n_changes}"
            )
        if times != sorted(set(times)):
            raise ValueError(f"change_at {times} does not ascend")
        if not self.modes or len(set(self.modes)) < len(self.modes):
            raise ValueError(f"modes {list(self.modes)} is empty or names one twice")
        if list(self.serving_updates) != sorted(set(self.serving_updates)):
            raise ValueError(f"serving_updates {list(self.serving_updates)} does not ascend")
        return self
