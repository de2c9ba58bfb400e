"""What a policy would earn on a log whose propensities are known, without a simulator as judge.

Estimated is the click rate: the mean click probability of the items of a policy's slates. An item's
click is taken to depend neither on its place nor on its neighbours, as in the response model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.evaluation.bootstrap import percentile_ends, resampled_means
from hsrl_pipeline.shapes import check_shape

ESTIMATORS = ("direct", "ips", "snips", "doubly_robust")


@dataclass(frozen=True)
class LoggedChoices:
    """What a log showed, how likely it was to, and what a target policy would have done there.

    A *round* is one occasion to act: a logged slate, or a person. Its *events* are the shown items.

    Attributes:
        round_users: (round,) int64. User of each round.
        round_values: (round,) float64. Modelled click rate of what the target policy shows.
        slots: How many places the log fills in a round, each by itself a draw from the catalogue. 1
            where the propensity is the chance that an item is among all that were shown.
        events: (event,) int64. Round of each event.
        clicks: (event,) float64. 1 for a click, else 0.
        propensities: (event,) float64. Probability in (0, 1] with which the log showed the item.
        target: (event,) float64. Share of its slots that the target policy gives to the item.
        modelled: (event,) float64. Modelled click probability of the item.
    """

    round_users: NDArray[np.int64]
    round_values: NDArray[np.float64]
    slots: int
    events: NDArray[np.int64]
    clicks: NDArray[np.float64]
    propensities: NDArray[np.float64]
    target: NDArray[np.float64]
    modelled: NDArray[np.float64]

    def __post_init__(self) -> None:
        check_shape("round_values", self.round_values, len(self.round_users))
        for name in ("clicks", "propensities", "target", "modelled"):
            check_shape(name, getattr(self, name), len(self.events))


def estimate_click_rate(
    choices: LoggedChoices, *, largest_weight: float | None, n_resamples: int, seed: int
) -> pd.DataFrame:
    """Return four estimates of a policy's click rate with bootstrap intervals over users.

    With w the target's share of an item over the item's propensity, y its click, q its modelled
    click probability, and sums over all events: ``ips`` is the sum of w y over the number of draws,
    ``snips`` the same over the sum of w. ``direct`` is the mean modelled click rate of the target's
    slates, and ``doubly_robust`` adds to it the sum of w (y - q) over the number of draws.

    Args:
        choices: The log and the target policy.
        largest_weight: Larger w are set to this, which biases the estimates; None keeps all.
        n_resamples: Bootstrap resamples.
        seed: Seed of the resampling.

    Returns:
        One row per estimator: ``estimator``, ``value``, ``ci_low``, ``ci_high`` (NaN where no event
        agrees with the policy), ``effective_sample_size`` (the sum of w squared over the sum of
        squares), ``share_clipped`` of the events of positive weight, ``largest_weight`` before
        clipping, ``n_users``, ``n_events`` and ``n_agreeing`` (events of positive weight).

    References:
        Horvitz and Thompson 1952; Swaminathan and Joachims 2015, "The Self-Normalized Estimator for
        Counterfactual Learning"; Dudik, Langford and Li 2011, "Doubly Robust Policy Evaluation and
        Learning"; docs/evaluation.md#off-policy-estimates.
    """
    raw = choices.target / choices.propensities
    weights = raw if largest_weight is None else np.minimum(raw, largest_weight)
    sums = _sums_by_user(choices, weights)
    value = _estimates(sums.mean(axis=0, keepdims=True))[0]
    figures = _estimates(resampled_means(sums, n_resamples, seed))
    # a resample without any agreeing event says nothing about the self-normalised estimate
    figures = np.where(np.isnan(figures), value, figures)
    ends = np.full((len(ESTIMATORS), 2), np.nan)
    known = ~np.isnan(value)
    ends[known] = percentile_ends(figures[:, known])
    agreeing = int(np.count_nonzero(raw))
    squares = float(np.square(weights).sum())
    return pd.DataFrame(
        {
            "estimator": ESTIMATORS,
            "value": value,
            "ci_low": ends[:, 0],
            "ci_high": ends[:, 1],
            "effective_sample_size": float(weights.sum()) ** 2 / squares if squares else 0.0,
            "share_clipped": np.count_nonzero(raw > weights) / agreeing if agreeing else 0.0,
            "largest_weight": float(raw.max(initial=0.0)),
            "n_users": len(sums),
            "n_events": len(choices.events),
            "n_agreeing": agreeing,
        }
    )


def _sums_by_user(choices: LoggedChoices, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (user, 5) float64: draws, direct values, w, w y and w (y - q) of each user."""
    users, place = np.unique(choices.round_users, return_inverse=True)
    events = place[choices.events]

    def summed(where: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(where, values, len(users)).astype(np.float64)

    return np.column_stack(
        [
            summed(place, np.full(len(place), float(choices.slots))),
            summed(place, choices.round_values * choices.slots),
            summed(events, weights),
            summed(events, weights * choices.clicks),
            summed(events, weights * (choices.clicks - choices.modelled)),
        ]
    )


def _estimates(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (row, estimator) float64 from rows of the means of the users' five sums."""
    draws, direct, weight, clicked, residual = means.T
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = [direct / draws, clicked / draws, clicked / weight, (direct + residual) / draws]
    return np.column_stack(columns)
