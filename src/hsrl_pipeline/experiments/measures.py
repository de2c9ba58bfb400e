"""Measures of few runs on one or several tasks: those of Agarwal et al. 2021, by SciPy.

A task is a dataset in a regime. Scores of several tasks are lists of one array per task, so that
resampling stays within a task (it is stratified).

References:
    Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.seeding import numpy_generator

Scores = Sequence[NDArray[np.float64]]
"""(run,) float64 for each task."""

LEVEL = 0.95
TRIMMED = 0.25
"""Share of the scores that an interquartile mean leaves out at each end."""


def interquartile_mean(scores: Scores) -> float:
    """Return the mean of the middle half of all scores.

    Of n scores, the floor of n/4 at each end are left out; with three none are.

    Args:
        scores: (run,) float64 for each task, comparable between tasks.
    """
    from scipy.stats import trim_mean

    return float(trim_mean(np.concatenate(scores), TRIMMED))


def interquartile_mean_interval(scores: Scores, n_resamples: int, seed: int) -> tuple[float, float]:
    """Return the 95 % interval of the interquartile mean, runs resampled within their task.

    Args:
        scores: (run,) float64 for each task.
        n_resamples: Bootstrap resamples.
        seed: Seed of the resampling.

    Returns:
        Lower and upper end; not defined (NaN) when no task has two runs.
    """
    from scipy.stats import trim_mean

    def statistic(*samples: NDArray[np.float64], axis: int = -1) -> Any:
        return trim_mean(np.concatenate(_same_shape(samples), axis=axis), TRIMMED, axis=axis)

    return _interval(statistic, scores, n_resamples, seed)


def improvement_probability(scores: Scores, others: Scores) -> float:
    """Return how likely a run of one method earns more than one of another, ties half.

    Args:
        scores: (run,) float64 for each task.
        others: (run,) float64 for each task, in the same order; one run where a method has no
            seeds.

    Returns:
        Mean over the tasks of the share of pairs that are won (Mann and Whitney's U over its
        largest value).
    """
    return float(np.mean([_share_won(own, other) for own, other in _pairs(scores, others)]))


def improvement_interval(
    scores: Scores, others: Scores, n_resamples: int, seed: int
) -> tuple[float, float]:
    """Return the 95 % interval of ``improvement_probability``.

    Args:
        scores: (run,) float64 for each task.
        others: (run,) float64 for each task; those with one run are taken as they are.
        n_resamples: Bootstrap resamples.
        seed: Seed of the resampling.

    Returns:
        Lower and upper end; NaN when no task has two runs.
    """
    n_tasks = len(scores)

    def statistic(*samples: NDArray[np.float64], axis: int = -1) -> Any:
        pairs = _pairs(samples[:n_tasks], samples[n_tasks:])
        return np.mean([_share_won(own, other) for own, other in pairs], axis=0)

    return _interval(statistic, [*scores, *others], n_resamples, seed)


def difference_p_value(scores: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Return the two-sided p-value of a difference in means.

    Args:
        scores: (run,) float64.
        others: (run,) float64; a single one is taken as a fixed value.

    Returns:
        Welch's t-test, or Student's against a fixed value; NaN with fewer than two runs.
    """
    from scipy.stats import ttest_1samp, ttest_ind

    if len(scores) < 2:
        return float("nan")
    if np.ptp(scores) == 0 and np.ptp(others) == 0:
        return 1.0 if scores[0] == others[0] else 0.0
    if len(others) == 1:
        return float(ttest_1samp(scores, others[0]).pvalue)
    return float(ttest_ind(scores, others, equal_var=False).pvalue)


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values corrected for the number of comparisons; NaN stays NaN and is not counted.

    Args:
        p_values: (comparison,) float64.

    Returns:
        (comparison,) float64. The k-th smallest of m is multiplied by m - k + 1, and is at least as
        large as those before it.

    References:
        Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    corrected = np.full(len(p_values), np.nan)
    counted = np.flatnonzero(~np.isnan(p_values))
    order = counted[np.argsort(p_values[counted], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return corrected


def _pairs(
    scores: Sequence[NDArray[np.float64]], others: Sequence[NDArray[np.float64]]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    return list(zip(scores, others, strict=True))


def _share_won(own: NDArray[np.float64], other: NDArray[np.float64]) -> Any:
    """Return the share of pairs won along the last axis of both, ties half."""
    signs = np.sign(own[..., :, None] - other[..., None, :])
    return (signs + 1.0).mean(axis=(-2, -1)) / 2.0


def _interval(
    statistic: Callable[..., Any], samples: Scores, n_resamples: int, seed: int
) -> tuple[float, float]:
    """Return a percentile interval; samples of one value are not resampled."""
    from scipy.stats import bootstrap

    drawn = [number for number, sample in enumerate(samples) if len(sample) > 1]
    if not drawn:
        return float("nan"), float("nan")

    def of_drawn(*resamples: NDArray[np.float64], axis: int = -1) -> Any:
        parts = list(samples)
        for number, resample in zip(drawn, resamples, strict=True):
            parts[number] = resample
        return statistic(*parts, axis=axis)

    found = bootstrap(
        [samples[number] for number in drawn],
        of_drawn,
        n_resamples=n_resamples,
        vectorized=True,
        method="percentile",
        confidence_level=LEVEL,
        rng=numpy_generator(seed, "experiments.measures"),
    ).confidence_interval
    return float(found.low), float(found.high)


def _same_shape(samples: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Return samples with the leading axes of the one that has most."""
    shape = max((sample.shape[:-1] for sample in samples), key=len)
    return [np.broadcast_to(sample, (*shape, sample.shape[-1])) for sample in samples]
