"""Rescaling of log-odds so that predicted probabilities mean what they say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.simulator.response.fidelity_metrics import Floats

TOLERANCE = 1e-10
"""Largest slope of the mean log loss at the end; scale and shift are then right to about 1e-8."""

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

    A logistic regression of labels on log-odds without penalty. The identity is returned where no
    finite positive scale exists: labels all alike, predictions all alike, perfect ranking, or
    ranking worse than chance.

    Args:
        log_odds: (row, slate) or any shape, finite, of rows the model was not fitted on.
        labels: Of the same shape; 0 or 1.

    References:
        Platt, Probabilistic Outputs for Support Vector Machines, 1999.
    """
    from sklearn.linear_model import LogisticRegression

    raw = np.ravel(log_odds).astype(np.float64)
    hits = np.ravel(labels) == 1
    if hits.all() or not hits.any() or np.ptp(raw) < 1e-9:
        return PlattScaling(1.0, 0.0)
    if raw[hits].min() >= raw[~hits].max():  # any larger scale is more likely
        return PlattScaling(1.0, 0.0)
    regression = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=TOLERANCE)
    regression.fit(raw[:, None], hits)
    scale, shift = float(regression.coef_[0, 0]), float(regression.intercept_[0])
    if not ALLOWED_SCALES[0] < scale < ALLOWED_SCALES[1]:
        return PlattScaling(1.0, 0.0)
    return PlattScaling(scale, shift)
