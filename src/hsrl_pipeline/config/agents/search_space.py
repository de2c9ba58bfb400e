"""How far a search may vary a setting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A number between two bounds.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Drawn evenly in the logarithm.
    """

    low: float
    high: float
    log: bool = True


@dataclass(frozen=True)
class Choice:
    """One of a few values.

    Attributes:
        values: What to choose from.
    """

    values: tuple[int | float | bool | str, ...]


SearchSpace = dict[str, Interval | Choice]
"""By field of an agent's settings; about equally many fields for each agent."""

LEARNING_RATE = Interval(1e-4, 2e-2)
"""Usual range of a step size."""

SMALL_LEARNING_RATE = Interval(1e-5, 5e-3)
"""Usual range of a step size that is better small."""
