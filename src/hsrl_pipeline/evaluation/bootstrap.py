"""Percentile-bootstrap intervals of means over sessions; ADR 0005 says why not SciPy's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.seeding import numpy_generator
from hsrl_pipeline.shapes import check_shape

LEVEL = 0.95
"""Coverage of every interval that is reported."""

RESAMPLES_AT_ONCE = 100
"""Bounds the memory of a resampling chunk: this many rows of one weight per session."""


LARGEST_KEPT = 2**25
"""Counts that are kept from one call to the next at most, 64 MiB."""


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
    return percentile_ends(resampled_means(values, n_resamples, seed))


def resampled_means(
    values: NDArray[np.float64], n_resamples: int, seed: int
) -> NDArray[np.float64]:
    """Return the column means of every resample of a table with one row per session.

    A figure that is no mean (a ratio of two columns) is computed from them resample by resample.

    Args:
        values: (session, column) float64. Independent rows.
        n_resamples: Bootstrap resamples, at least 1.
        seed: Seed of the resampling; with the same seed and number of rows, the same rows are
            picked.

    Returns:
        (resample, column) float64.
    """
    check_shape("values", values, None, None)
    n_sessions = len(values)
    means = np.empty((n_resamples, values.shape[1]))
    start = 0
    # the same sessions are picked for every policy of a table, and picking takes longest
    keep = n_sessions * n_resamples <= LARGEST_KEPT
    for counts in (_kept_counts if keep else _pick_counts)(n_sessions, n_resamples, seed):
        weights = counts.astype(np.float64) / n_sessions
        for column in range(values.shape[1]):
            means[start : start + len(counts), column] = weights @ values[:, column]
        start += len(counts)
    return means


def percentile_ends(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ends of the 95 % interval of each column of resampled figures.

    Args:
        figures: (resample, column) float64. Without NaN.

    Returns:
        (column, 2) float64. Lower and upper end.
    """
    tail = (1.0 - LEVEL) / 2.0
    ends: NDArray[np.float64] = np.quantile(figures, [tail, 1.0 - tail], axis=0)
    return ends.T


def _pick_counts(n_sessions: int, n_resamples: int, seed: int) -> Iterator[NDArray[np.uint16]]:
    """Yield (resample, session) uint16: how often each resample picks each session."""
    generator = numpy_generator(seed, "evaluation.bootstrap")
    for start in range(0, n_resamples, RESAMPLES_AT_ONCE):
        count = min(RESAMPLES_AT_ONCE, n_resamples - start)
        picked = generator.integers(n_sessions, size=(count, n_sessions))
        picked += np.arange(count)[:, None] * n_sessions
        counts = np.bincount(picked.ravel(), minlength=count * n_sessions).astype(np.uint16)
        yield counts.reshape(count, n_sessions)


@lru_cache(maxsize=1)
def _kept_counts(n_sessions: int, n_resamples: int, seed: int) -> tuple[NDArray[np.uint16], ...]:
    return tuple(_pick_counts(n_sessions, n_resamples, seed))
