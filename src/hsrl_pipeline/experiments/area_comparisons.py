"""Areas under regret over seeds: means with t intervals, and differences paired by seed."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.experiments.measures import LEVEL

CELL = ["policy", "simulator", "path"]

MEAN_COLUMNS = [*CELL, "n_seeds", "mean", "ci_low", "ci_high"]

DIFFERENCE_COLUMNS = [*CELL, "n_pairs", "mean", "ci_low", "ci_high"]


def t_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % t interval of a mean.

    Args:
        values: (run,) float64.

    Returns:
        Lower and upper end; NaN with fewer than two runs.
    """
    from scipy.stats import sem, t

    if len(values) < 2:
        return math.nan, math.nan
    reach = float(t.ppf((1 + LEVEL) / 2, len(values) - 1) * sem(values))
    mean = float(np.mean(values))
    return mean - reach, mean + reach


def mean_areas(areas: pd.DataFrame) -> pd.DataFrame:
    """Return the mean area of each policy, by simulator and path.

    Args:
        areas: Rows of one dataset and regime, as ``area_table`` returns them.

    Returns:
        ``MEAN_COLUMNS``. References have no seeds: 0 of them, and no interval.
    """
    return _over_seeds(areas, "area_under_regret", MEAN_COLUMNS)


def area_differences(areas: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Return how much more each policy misses than the baseline, paired by seed.

    Args:
        areas: Rows of one dataset and regime, as ``area_table`` returns them.
        baseline: The policy that the others are compared with.

    Returns:
        ``DIFFERENCE_COLUMNS``; below 0 a policy misses less than the baseline. Only seeds count
        that both have; a policy without such a seed has no row.
    """
    seeded = areas[areas["seed"].notna()]
    others = seeded[seeded["policy"] != baseline]
    keys = ["simulator", "path", "seed"]
    pairs = others.merge(
        seeded.loc[seeded["policy"] == baseline, [*keys, "area_under_regret"]],
        on=keys,
        suffixes=("", "_baseline"),
    )
    pairs["difference"] = pairs["area_under_regret"] - pairs["area_under_regret_baseline"]
    return _over_seeds(pairs, "difference", DIFFERENCE_COLUMNS)


def _over_seeds(rows: pd.DataFrame, measure: str, columns: list[str]) -> pd.DataFrame:
    """Return the number of seeds, the mean of a column and its interval in each cell."""
    found = []
    for cell, own in rows.groupby(CELL, sort=False):
        values = own[measure].to_numpy(float)
        n_seeds = int(own["seed"].notna().sum())
        found.append((*cell, n_seeds, float(np.mean(values)), *t_interval(values)))
    return pd.DataFrame(found, columns=columns)
