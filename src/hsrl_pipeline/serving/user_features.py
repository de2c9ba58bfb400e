"""From a user's features by name, as the user of the service knows them, to what policies read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.serving.request_errors import RequestError

LARGEST_STANDARD = 1e6
"""Standard deviations beyond which a number can only be a mistake."""


@dataclass(frozen=True)
class NumberScale:
    """How a numeric feature was standardised.

    Attributes:
        mean: What becomes 0, in units of the feature.
        spread: What becomes 1 above it; 0 for a feature that is always 0 after standardisation.
    """

    mean: float
    spread: float

    @classmethod
    def between(cls, raw: NDArray[np.float64], standard: NDArray[np.float64]) -> NumberScale:
        """Return the scale that leads from raw numbers to standardised ones.

        Standardisation keeps no record of its mean and spread, but two users tell both.

        Args:
            raw: (user,) float64. Raw numbers, NaN where missing.
            standard: (user,) float64. The same after standardisation.
        """
        present = np.isfinite(raw)
        raw, standard = raw[present], standard[present]
        if len(raw) == 0 or standard.max() == standard.min():
            return cls(0.0, 0.0)
        low, high = int(standard.argmin()), int(standard.argmax())
        spread = (raw[high] - raw[low]) / (standard[high] - standard[low])
        return cls(float(raw[low] - spread * standard[low]), float(spread))

    def apply(self, value: float) -> float:
        """Return the standardised number."""
        return (value - self.mean) / self.spread if self.spread else 0.0

    def standardise(self, field: str, value: float) -> float:
        """Return the standardised number of a request.

        Args:
            field: Where it stands, for messages.
            value: A finite number.

        Raises:
            RequestError: It can only be a mistake, so far off the mean it lies.
        """
        standard = self.apply(value)
        if abs(standard) > LARGEST_STANDARD:
            raise RequestError(
                field,
                f"{value} lies more than {LARGEST_STANDARD:.0e} standard deviations off the mean",
            )
        return standard

    def undo(self, standard: float) -> float:
        """Return the number that is standardised to this one."""
        return self.mean + self.spread * standard


@dataclass(frozen=True)
class UserEncoder:
    """Codes of categories and scales of numbers, as the training split gave them.

    Attributes:
        categories: Values of each categorical feature in the order of their codes, from code 1.
        numbers: Scale of each numeric feature.
    """

    categories: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, NumberScale]

    @cached_property
    def _codes(self) -> dict[str, dict[str, int]]:
        return {
            name: {value: code for code, value in enumerate(values, start=1)}
            for name, values in self.categories.items()
        }

    def encode(self, user: Mapping[str, Any]) -> tuple[list[int], list[float]]:
        """Return the codes and numbers of one user.

        A missing feature, null and a category that training never saw count as missing.

        Args:
            user: Value by name of the feature.

        Raises:
            RequestError: A name is unknown, a number is none or not finite, or a category is
                neither text nor a number.
        """
        unknown = [
            name for name in user if name not in self.categories and name not in self.numbers
        ]
        if unknown:
            known = ", ".join([*self.categories, *self.numbers]) or "none"
            raise RequestError(f"user.{unknown[0]}", f"there is no such feature; known are {known}")
        codes = [
            known.get(_category(name, user.get(name)), 0) for name, known in self._codes.items()
        ]
        numbers = [_number(name, user.get(name), scale) for name, scale in self.numbers.items()]
        return codes, numbers

    def decode(self, codes: Sequence[int], numbers: Sequence[float]) -> dict[str, Any]:
        """Return the features of which `encode` makes these codes and numbers.

        Args:
            codes: Codes of the categorical features in their order; 0 is left out, and so are
                codes beyond the features that are known by name.
            numbers: Standardised numbers in their order.
        """
        named = zip(self.categories.items(), codes, strict=False)
        user: dict[str, Any] = {name: values[code - 1] for (name, values), code in named if code}
        scaled = zip(self.numbers.items(), numbers, strict=True)
        return user | {name: scale.undo(number) for (name, scale), number in scaled}

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values; lists, because the order of features counts."""
        return {
            "categories": [[name, list(values)] for name, values in self.categories.items()],
            "numbers": [[name, scale.mean, scale.spread] for name, scale in self.numbers.items()],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> UserEncoder:
        """Return what `to_dict` gave."""
        return cls(
            {name: tuple(texts) for name, texts in values["categories"]},
            {name: NumberScale(*scale) for name, *scale in values["numbers"]},
        )


def _category(name: str, value: Any) -> str:
    """Return a category as ingestion writes it; empty where it is missing."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RequestError(f"user.{name}", "a category is text or a number")
    if isinstance(value, float):
        _refuse_not_finite(name, value)
        if value == math.floor(value):
            return str(int(value))
    return str(value)


def _number(name: str, value: Any, scale: NumberScale) -> float:
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestError(f"user.{name}", "this feature is a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    _refuse_not_finite(name, number)
    return scale.standardise(f"user.{name}", value)


def _refuse_not_finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise RequestError(
            f"user.{name}", "NaN and infinity are no values; leave it out if missing"
        )
