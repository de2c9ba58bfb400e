"""Intervals that hold at every look: the difference of two arms of an experiment while it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.evaluation.bootstrap import LEVEL
from hsrl_pipeline.shapes import check_shape

FIRST_LOOK = 100
"""Sessions before which there is no interval: it rests on a central limit theorem."""


@dataclass(frozen=True)
class ConfidenceSequence:
    """A mean and its interval after each session.

    Attributes:
        mean: (session,) float64. Mean of all terms so far.
        low: (session,) float64. Lower end; NaN before the first look.
        high: (session,) float64. Upper end; NaN before the first look.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def first_clear(self) -> int | None:
        """Number of sessions after which 0 lay outside for the first time; None for never."""
        clear = np.flatnonzero((self.low > 0.0) | (self.high < 0.0))
        return int(clear[0]) + 1 if len(clear) else None


def difference_terms(
    outcomes: NDArray[np.float64], treated: NDArray[np.bool_], share: float = 0.5
) -> NDArray[np.float64]:
    """Return one unbiased estimate of the difference between the arms per session.

    Session t gives ``(m1 - m0) + z (y - m1) / p - (1 - z) (y - m0) / (1 - p)``, where m1 and m0 are
    the means of the arms in the sessions before (of both arms where one has none, 0 for the first
    session). As the draw of the arm knows nothing of the outcome, its expectation is the effect in
    session t, whatever the means are; they only make it vary less.

    Args:
        outcomes: (session,) float64. In the order in which sessions began.
        treated: (session,) bool. Whether the session was of the second arm.
        share: Probability p of the second arm.

    Returns:
        (session,) float64.

    References:
        Robins, Rotnitzky and Zhao 1994 (the augmented estimator).
    """
    check_shape("treated", treated, len(outcomes))
    everyone = _means_before(outcomes, np.ones(len(outcomes), bool), np.zeros(len(outcomes)))
    second = _means_before(outcomes, treated, everyone)
    first = _means_before(outcomes, ~treated, everyone)
    surprise = np.where(treated, (outcomes - second) / share, -(outcomes - first) / (1.0 - share))
    terms: NDArray[np.float64] = second - first + surprise
    return terms


def sequential_intervals(
    terms: NDArray[np.float64], best_at: int, level: float = LEVEL
) -> ConfidenceSequence:
    """Return intervals for the running mean of the terms' expectations, valid at all looks at once.

    With probability ``level`` no interval from the first look on misses what it is for, so one may
    look as often as one likes and stop whenever one likes. What holds of them holds in the limit of
    late first looks, as for an ordinary interval from the central limit theorem. Where effects
    change over time, the interval after t sessions is for their mean over these.

    Args:
        terms: (session,) float64. As `difference_terms` returns them.
        best_at: Number of sessions after which the interval is to be narrow.
        level: Coverage.

    References:
        Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit theory and
        asymptotic confidence sequences", Theorem 2.2 and Proposition 2.5; rho as they propose for
        a time to be narrow at.
    """
    check_shape("terms", terms, None)
    alpha = 1.0 - level
    rho2 = (-2.0 * math.log(alpha) + math.log(1.0 - 2.0 * math.log(alpha))) / best_at
    count = np.arange(1, len(terms) + 1, dtype=np.float64)
    mean = terms.cumsum() / count
    variance = np.maximum(np.square(terms).cumsum() / count - np.square(mean), 0.0)
    grown = count * rho2 + 1.0
    margin = np.sqrt(
        variance * 2.0 * grown / (np.square(count) * rho2) * np.log(np.sqrt(grown) / alpha)
    )
    margin[: FIRST_LOOK - 1] = np.nan
    return ConfidenceSequence(mean, mean - margin, mean + margin)


def _means_before(
    outcomes: NDArray[np.float64], counted: NDArray[np.bool_], without: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (session,) the mean of the counted outcomes before each session."""
    counts = np.concatenate([[0], counted.cumsum()[:-1]])
    sums = np.concatenate([[0.0], np.where(counted, outcomes, 0.0).cumsum()[:-1]])
    return np.where(counts > 0, sums / np.maximum(counts, 1), without)
