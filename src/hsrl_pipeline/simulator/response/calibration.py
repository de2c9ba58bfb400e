"""Rescaling of log-odds so that predicted probabilities mean what they say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.simulator.response.fidelity_metrics import Floats, log_loss, sigmoid

STEPS = 100
ALLOWED_SCALES = (0.01, 20.0)
"""Scales outside are no calibration: the ranking is at chance, or the rows are separable."""


class PlattScaling(NamedTuple):
    """The map ``scale * log_odds + shift``.

    Attributes:
        scale: Below 1 where a model was too sure of itself; above 0.
        shift: Above 0 where a model expected too few clicks.
    """

    scale: float
    shift: float


def fit_platt_scaling(log_odds: Floats, labels: NDArray[np.int8]) -> PlattScaling:
    """Return the map of log-odds that makes held-out clicks most likely.

    Newton's method on the logistic regression of labels on log-odds, its steps halved until they
    help; the problem is convex. The identity is returned where no finite positive scale exists:
    labels all alike, predictions all alike, perfect ranking, or ranking worse than chance.

    Args:
        log_odds: (row, slate) or any shape, finite, of rows the model was not fitted on.
        labels: Of the same shape; 0 or 1.

    References:
        Platt, Probabilistic Outputs for Support Vector Machines, 1999.
    """
    raw = np.ravel(log_odds).astype(np.float64)
    hits = np.ravel(labels).astype(np.float64)
    if hits.min(initial=1.0) == hits.max(initial=0.0) or np.ptp(raw) < 1e-9:
        return PlattScaling(1.0, 0.0)
    design = np.stack([raw, np.ones_like(raw)], axis=1)
    weights = np.array([1.0, 0.0])
    loss = log_loss(raw, hits)
    for _ in range(STEPS):
        predicted = sigmoid(design @ weights)
        gradient = design.T @ (hits - predicted)
        curvature = (design * (predicted * (1.0 - predicted))[:, None]).T @ design
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), gradient)
        while log_loss(design @ (weights + step), hits) > loss and np.abs(step).max() > 1e-12:
            step *= 0.5
        weights = weights + step
        loss = log_loss(design @ weights, hits)
        if np.abs(step).max() < 1e-9:
            break
    if not ALLOWED_SCALES[0] < weights[0] < ALLOWED_SCALES[1]:
        return PlattScaling(1.0, 0.0)
    return PlattScaling(float(weights[0]), float(weights[1]))
