"""Parameters of a simulated session: its length, its reward and what may be recommended."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field

from hsrl_pipeline.config.base import FrozenConfig

HistoryForm = Literal["clicks", "responses"]

Regime = Literal["no_repeats", "repeats"]
"""Whether a session shows an item once at most, or again and again."""

REGIMES: tuple[Regime, ...] = get_args(Regime)
"""In the order that tables show them."""


class SessionConfig(FrozenConfig):
    """How long a user stays and how much is seen (docs/protocol.md#session-dynamics)."""

    horizon: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="Longest session in steps; a user still there is cut off (truncated).",
    )
    initial_patience: float = Field(
        default=20.0,
        ge=1.0,
        allow_inf_nan=False,
        description="Patience T0 of a new user, in units of patience; the user leaves below 1.",
    )
    history_size: int = Field(
        default=50,
        ge=1,
        le=10_000,
        description="Length H of the window of items that policy and simulator see, items.",
    )
    history: HistoryForm = Field(
        default="clicks",
        description="What policies see of the past: clicks (the paper's form), or all shown items "
        "with their responses. Simulated users read their clicks in either case.",
    )

    def as_recorded(self) -> dict[str, Any]:
        """Return JSON-able values to keep with results.

        A history of clicks is left out, because what was kept before there was a choice has none.
        """
        values = self.model_dump(mode="json")
        if self.history == "clicks":
            del values["history"]
        return values


class RewardConfig(FrozenConfig):
    """From the feedback on a slate to its reward (paper, App. B)."""

    miss_penalty: float = Field(
        default=0.2,
        ge=0.0,
        le=1.0,
        description="Cost c of a shown item without click: r = mean(y - c(1 - y)), in [0, 1].",
    )
    sweet_point: float | None = Field(
        default=None,
        ge=-1.0,
        le=1.0,
        description="When set, r becomes 1 - |r - sweet_point| (RL4RS variant: 0.9); null is off.",
    )


class CandidatesConfig(FrozenConfig):
    """Which items a slate may contain."""

    exclude_shown: bool = Field(
        default=False,
        description="Whether an item already shown in the session may not be shown again.",
    )
    frequency_cap: int | None = Field(
        default=None,
        ge=1,
        description="Largest number of times an item is shown in a session (paper, App. E); null "
        "is no cap. 1 is the same as exclude_shown.",
    )
    enforce_shelves: bool = Field(
        default=False,
        description="Whether the slots of a slate are bound to shelves in equal parts (RL4RS).",
    )

    @property
    def showings(self) -> int | None:
        """Showings of an item that a session allows; None when it may be shown again and again."""
        return 1 if self.exclude_shown else self.frequency_cap

    @property
    def regime(self) -> Regime:
        """The regime that rows, runs and files of these sessions are told apart by."""
        return "no_repeats" if self.showings == 1 else "repeats"

    def in_regime(self, regime: Regime) -> CandidatesConfig:
        """Return the same rules in the given regime."""
        if regime == self.regime:
            return self
        return self.model_copy(
            update={"exclude_shown": regime == "no_repeats", "frequency_cap": None}
        )
