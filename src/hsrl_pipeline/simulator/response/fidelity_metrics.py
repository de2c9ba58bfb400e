"""How well predicted click probabilities agree with logged clicks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.shapes import check_shape

Floats = NDArray[np.float32] | NDArray[np.float64]


class ReliabilityBins(NamedTuple):
    """Predictions and outcomes by equal-width bins of the predicted probability.

    Attributes:
        n_predictions: (bin,) int64. Predictions in the bin; float64, the sum of their weights,
            where they have weights.
        predicted: (bin,) float64. Mean prediction, NaN in an empty bin.
        observed: (bin,) float64. Share of clicks, NaN in an empty bin.
    """

    n_predictions: NDArray[np.int64] | NDArray[np.float64]
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]


def sigmoid(log_odds: Floats) -> NDArray[np.float64]:
    """Return probabilities of the same shape, without overflow."""
    half = np.tanh(0.5 * np.asarray(log_odds, dtype=np.float64))
    return np.asarray(0.5 * (1.0 + half))


def log_loss(log_odds: Floats, labels: NDArray[np.int8] | Floats) -> float:
    """Return the mean negative log-likelihood in nats, from log-odds without clipping.

    Args:
        log_odds: (row, slate) or any shape.
        labels: Of the same shape; 0 or 1.
    """
    raw = np.asarray(log_odds, dtype=np.float64)
    return float(np.mean(np.logaddexp(0.0, raw) - raw * labels))


def area_under_curve(
    scores: Floats, labels: NDArray[np.int8], weights: NDArray[np.float64] | None = None
) -> float:
    """Return the chance that a clicked item is scored above an unclicked one, ties counting half.

    Args:
        scores: Any shape.
        labels: Of the same shape; 0 or 1.
        weights: Of the same shape, at least 0: a pair of items counts as the product of its
            weights. None counts every item once.

    Returns:
        In [0, 1]; NaN when all labels of some weight are equal.
    """
    hits = np.ravel(labels) > 0
    _, places = np.unique(np.ravel(scores), return_inverse=True)
    counts = np.ones(len(hits)) if weights is None else np.ravel(weights)
    clicked = np.bincount(places, counts * hits)
    missed = np.bincount(places, counts * ~hits)
    n_pairs = clicked.sum() * missed.sum()
    if not n_pairs > 0:
        return float("nan")
    below = np.cumsum(missed) - missed
    return float((clicked * (below + missed / 2.0)).sum() / n_pairs)


def area_within_slates(scores: Floats, labels: NDArray[np.int8]) -> float:
    """Return the area under the curve over pairs of the same slate: same user, same time.

    What distinguishes users or days from one another doesn't count, only the choice among items.

    Args:
        scores: (row, slate) float.
        labels: (row, slate) int8; 0 or 1.

    Returns:
        In [0, 1], ties counting half; NaN when no slate has both a click and a miss.
    """
    check_shape("labels", labels, *scores.shape)
    wins, n_pairs = 0.0, 0
    for slot in range(scores.shape[1]):
        pairs = (labels > 0) & (labels[:, slot : slot + 1] == 0)
        lead = (scores - scores[:, slot : slot + 1])[pairs]
        wins += float((lead > 0).sum() + 0.5 * (lead == 0).sum())
        n_pairs += lead.size
    return wins / n_pairs if n_pairs else float("nan")


def reliability(
    probabilities: Floats,
    labels: NDArray[np.int8],
    n_bins: int,
    weights: NDArray[np.float64] | None = None,
) -> ReliabilityBins:
    """Return predictions and outcomes by equal-width bins.

    Args:
        probabilities: Any shape, in [0, 1]; 1.0 belongs to the last bin.
        labels: Of the same shape; 0 or 1.
        n_bins: Number of bins, at least 1.
        weights: Of the same shape, at least 0: how much each prediction counts; None for 1.
    """
    flat = np.ravel(probabilities).astype(np.float64)
    bins = np.minimum((flat * n_bins).astype(np.int64), n_bins - 1)
    own = None if weights is None else np.ravel(weights)
    count = np.bincount(bins, own, minlength=n_bins)
    hits = np.ravel(labels).astype(np.float64)
    if own is not None:
        flat, hits = flat * own, hits * own
    with np.errstate(invalid="ignore"):
        return ReliabilityBins(
            n_predictions=count,
            predicted=np.bincount(bins, weights=flat, minlength=n_bins) / count,
            observed=np.bincount(bins, weights=hits, minlength=n_bins) / count,
        )


def expected_calibration_error(bins: ReliabilityBins) -> float:
    """Return the mean distance of prediction and outcome, weighted by the bins' counts.

    References:
        Guo et al., On Calibration of Modern Neural Networks, 2017, Eq. 3.
    """
    gaps = np.abs(np.nan_to_num(bins.predicted) - np.nan_to_num(bins.observed))
    total = float(bins.n_predictions.sum())
    return float((bins.n_predictions * gaps).sum() / total) if total else 0.0


def clicks_per_slate(probabilities: Floats) -> NDArray[np.float64]:
    """Return how many clicks slates get when items are clicked independently.

    Args:
        probabilities: (row, slate) float. Click probability of each item.

    Returns:
        (slate + 1,) float64. Share of slates with 0, 1, ..., K clicks in expectation: the mean of
        the rows' Poisson-binomial distributions.
    """
    check_shape("probabilities", probabilities, None, None)
    rows, size = probabilities.shape
    shares = np.zeros((rows, size + 1))
    shares[:, 0] = 1.0
    for position in range(size):
        click = probabilities[:, position, None].astype(np.float64)
        shares[:, 1:] = shares[:, 1:] * (1.0 - click) + shares[:, :-1] * click
        shares[:, 0] *= 1.0 - click[:, 0]
    return np.asarray(shares.mean(axis=0))
