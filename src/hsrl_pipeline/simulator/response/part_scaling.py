"""Scales of parts of the log-odds beside a rest that counts as it is.

Scikit-learn's logistic regression takes no given part of the log-odds, hence these few lines of
Newton's method.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.simulator.response.calibration import ALLOWED_SCALES, PlattScaling
from hsrl_pipeline.simulator.response.fidelity_metrics import Floats, sigmoid

STEPS = 100
SCALE_PRECISION = 1.0
"""Prior precision of a part's scale around 1: it matters where a handful of rows decide."""

LONGEST_STEP = 2.0
"""Bound of a Newton step from far away, where the quadratic is no good picture of the loss."""


def fit_platt_scaling_beside(
    given: Floats, log_odds: Floats, labels: NDArray[np.int8]
) -> PlattScaling:
    """Return the map of a part of the log-odds that makes held-out clicks most likely.

    Args:
        given: (row, slate) or any shape, the rest of the log-odds; it counts as it is.
        log_odds: Of the same shape, the part to scale and to shift.
        labels: Of the same shape; 0 or 1.

    Returns:
        The identity where no sensible scale exists, as in `fit_platt_scaling`.
    """
    if _says_nothing(log_odds, labels):
        return PlattScaling(1.0, 0.0)
    part = np.ravel(log_odds).astype(np.float64)[:, None]
    scales, shift = fit_part_scales(given, part, labels, 0.0)
    if not ALLOWED_SCALES[0] < scales[0] < ALLOWED_SCALES[1]:
        return PlattScaling(1.0, 0.0)
    return PlattScaling(float(scales[0]), shift)


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


def slope_of_part(
    given: Floats,
    part: Floats,
    labels: NDArray[np.int8],
    weights: NDArray[np.float64] | None = None,
) -> float:
    """Return the slope of clicks on a part of the log-odds: 1 is honest, below 1 overconfident.

    Args:
        given: (row, slate) or any shape, the rest of the log-odds.
        part: Of the same shape, the part.
        labels: Of the same shape; 0 or 1.
        weights: Of the same shape, at least 0: how much each answer counts; None for 1.

    Returns:
        The factor of the part in a logistic regression with a free shift; NaN where there is
        nothing to regress on.
    """
    if _says_nothing(part, labels):
        return float("nan")
    fixed = np.ravel(given).astype(np.float64)
    design = np.reshape(part, (-1, 1)).astype(np.float64)
    return float(_regress(fixed, design, labels, 0.0, weights)[0])


def _says_nothing(part: Floats, labels: NDArray[np.int8]) -> bool:
    """Return whether all labels or all numbers of a part are alike."""
    return bool(labels.min() == labels.max() or part.max() - part.min() < 1e-9)


def _regress(
    fixed: NDArray[np.float64],
    parts: NDArray[np.float64],
    labels: NDArray[np.int8],
    precision: float,
    counts: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return factors of the parts and the shift, by Newton's method with bounded steps."""
    design = np.concatenate([parts, np.ones((len(parts), 1))], axis=1)
    hits = np.ravel(labels).astype(np.float64)
    own = 1.0 if counts is None else np.ravel(counts)
    centre = np.r_[np.ones(parts.shape[1]), 0.0]
    prior = precision * centre
    weights: NDArray[np.float64] = centre.copy()
    for _ in range(STEPS):
        predicted = sigmoid(fixed + design @ weights)
        gradient = design.T @ (own * (hits - predicted)) - prior * (weights - centre)
        curvature = (design * (own * predicted * (1.0 - predicted))[:, None]).T @ design
        step = np.linalg.solve(curvature + np.diag(prior + 1e-9), gradient)
        step *= min(1.0, LONGEST_STEP / max(float(np.abs(step).max()), 1e-12))
        weights += step
        if np.abs(step).max() < 1e-9:
            break
    return weights
