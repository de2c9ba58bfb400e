"""Rescaling of log-odds so that predicted probabilities mean what they say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.simulator.response.fidelity_metrics import Floats, log_loss, sigmoid

STEPS = 100
ALLOWED_SCALES = (0.01, 20.0)
"""Scales outside are no calibration: the ranking is at chance, or the rows are separable."""

SCALE_PRECISION = 1.0
"""Prior precision of a part's scale around 1: it matters where a handful of rows decide."""

LONGEST_STEP = 2.0
"""Bound of a Newton step from far away, where the quadratic is no good picture of the loss."""


class PlattScaling(NamedTuple):
    """The map ``scale * log_odds + shift``.

    Attributes:
        scale: Below 1 where a model was too sure of itself; above 0.
        shift: Above 0 where a model expected too few clicks.
    """

    scale: float
    shift: float


def fit_platt_scaling(
    log_odds: Floats, labels: NDArray[np.int8], given: Floats | None = None
) -> PlattScaling:
    """Return the map of log-odds that makes held-out clicks most likely.

    Newton's method on the logistic regression of labels on log-odds, its steps halved until they
    help; the problem is convex. The identity is returned where no finite positive scale exists:
    labels all alike, predictions all alike, perfect ranking, or ranking worse than chance.

    Args:
        log_odds: (row, slate) or any shape, finite, of rows the model was not fitted on.
        labels: Of the same shape; 0 or 1.
        given: Of the same shape; a further part of the log-odds, added as it is.

    References:
        Platt, Probabilistic Outputs for Support Vector Machines, 1999.
    """
    raw = np.ravel(log_odds).astype(np.float64)
    hits = np.ravel(labels).astype(np.float64)
    fixed = 0.0 if given is None else np.ravel(given).astype(np.float64)
    if hits.min(initial=1.0) == hits.max(initial=0.0) or np.ptp(raw) < 1e-9:
        return PlattScaling(1.0, 0.0)
    design = np.stack([raw, np.ones_like(raw)], axis=1)
    weights = np.array([1.0, 0.0])
    loss = log_loss(raw + fixed, hits)
    for _ in range(STEPS):
        predicted = sigmoid(design @ weights + fixed)
        gradient = design.T @ (hits - predicted)
        curvature = (design * (predicted * (1.0 - predicted))[:, None]).T @ design
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), gradient)
        while (
            log_loss(design @ (weights + step) + fixed, hits) > loss and np.abs(step).max() > 1e-12
        ):
            step *= 0.5
        weights = weights + step
        loss = log_loss(design @ weights + fixed, hits)
        if np.abs(step).max() < 1e-9:
            break
    if not ALLOWED_SCALES[0] < weights[0] < ALLOWED_SCALES[1]:
        return PlattScaling(1.0, 0.0)
    return PlattScaling(float(weights[0]), float(weights[1]))


def fit_part_scales(
    given: Floats, parts: Floats, labels: NDArray[np.int8], precision: float = SCALE_PRECISION
) -> tuple[NDArray[np.float64], float]:
    """Return the factors of parts of the log-odds, and the shift, that make clicks most likely.

    A factor of 1 says that a part is as sure as it may be, below 1 that it is too sure of itself.

    Args:
        given: (row, slate) or any shape, the rest of the log-odds; it counts as it is.
        parts: Of the same shape and one more axis, the parts; there may be none.
        labels: Of the shape of ``given``; 0 or 1.
        precision: Of the normal prior of each factor around 1; 0 for none.

    Returns:
        (part,) float64 factors, none below 0, and the shift.
    """
    fixed = np.ravel(given).astype(np.float64)
    design = np.reshape(parts, (fixed.size, np.shape(parts)[-1])).astype(np.float64)
    n_parts = design.shape[1]
    weights = _regress(fixed, design, labels, precision)
    scales: NDArray[np.float64] = np.maximum(weights[:n_parts], 0.0)
    return scales, float(weights[n_parts])


def slope_of_part(given: Floats, part: Floats, labels: NDArray[np.int8]) -> float:
    """Return the slope of clicks on a part of the log-odds: 1 is honest, below 1 overconfident.

    Args:
        given: (row, slate) or any shape, the rest of the log-odds.
        part: Of the same shape, the part.
        labels: Of the same shape; 0 or 1.

    Returns:
        The factor of the part in a logistic regression with a free shift; NaN where there is
        nothing to regress on.
    """
    if np.ptp(labels, axis=None) == 0 or np.ptp(part, axis=None) < 1e-9:
        return float("nan")
    fixed = np.ravel(given).astype(np.float64)
    return float(_regress(fixed, np.reshape(part, (-1, 1)).astype(np.float64), labels, 0.0)[0])


def _regress(
    fixed: NDArray[np.float64],
    parts: NDArray[np.float64],
    labels: NDArray[np.int8],
    precision: float,
) -> NDArray[np.float64]:
    """Return factors of the parts and the shift, by Newton's method with bounded steps."""
    design = np.concatenate([parts, np.ones((len(parts), 1))], axis=1)
    hits = np.ravel(labels).astype(np.float64)
    centre = np.r_[np.ones(parts.shape[1]), 0.0]
    prior = precision * centre
    weights = centre.copy()
    for _ in range(STEPS):
        predicted = sigmoid(fixed + design @ weights)
        gradient = design.T @ (hits - predicted) - prior * (weights - centre)
        curvature = (design * (predicted * (1.0 - predicted))[:, None]).T @ design
        step = np.linalg.solve(curvature + np.diag(prior + 1e-9), gradient)
        step *= min(1.0, LONGEST_STEP / max(float(np.abs(step).max()), 1e-12))
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            break
    return weights
