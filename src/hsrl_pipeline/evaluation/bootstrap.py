"""Percentile-bootstrap intervals of means over sessions; ADR 0005 says why not SciPy's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.seeding import numpy_generator
from hsrl_pipeline.shapes import check_shape

LEVEL = 0.95
"""Coverage of every interval that is reported."""

RESAMPLES_AT_ONCE = 100
"""Bounds the memory of a resampling chunk: this many rows of one weight per session."""


def bootstrap_intervals(
    values: NDArray[np.float64], n_resamples: int, seed: int
) -> NDArray[np.float64]:
    """Return 95 % intervals of the column means of a table with one row per session.

    All columns are resampled together, so intervals of differences between columns stay paired;
    a column's interval does not depend on which other columns are given.

    Args:
        values: (session, column) float64. Independent rows.
        n_resamples: Bootstrap resamples, at least 1.
        seed: Seed of the resampling.

    Returns:
        (column, 2) float64. Lower and upper end.

    References:
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3.
    """
    check_shape("values", values, None, None)
    n_sessions = len(values)
    generator = numpy_generator(seed, "evaluation.bootstrap")
    means = np.empty((n_resamples, values.shape[1]))
    for start in range(0, n_resamples, RESAMPLES_AT_ONCE):
        count = min(RESAMPLES_AT_ONCE, n_resamples - start)
        picked = generator.integers(n_sessions, size=(count, n_sessions))
        picked += np.arange(count)[:, None] * n_sessions
        weights = np.bincount(picked.ravel(), minlength=count * n_sessions).astype(np.float64)
        weights = weights.reshape(count, n_sessions) / n_sessions
        for column in range(values.shape[1]):
            means[start : start + count, column] = weights @ values[:, column]
    tail = (1.0 - LEVEL) / 2.0
    ends: NDArray[np.float64] = np.quantile(means, [tail, 1.0 - tail], axis=0)
    return ends.T
