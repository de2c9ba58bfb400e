"""Areas under regret over seeds: means with t intervals, and differences paired by seed."""

from __future__ import annotations

import math
from typing import Any

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
    rows: list[dict[str, Any]] = []
    for cell, own in areas.groupby(CELL, sort=False):
        values = own["area_under_regret"].to_numpy(float)
        rows.append(_cell(cell) | {"n_seeds": int(own["seed"].notna().sum())} | _mean(values))
    return pd.DataFrame(rows, columns=MEAN_COLUMNS)


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
    rows: list[dict[str, Any]] = []
    for cell, own in pairs.groupby(CELL, sort=False):
        values = own["difference"].to_numpy(float)
        rows.append(_cell(cell) | {"n_pairs": len(values)} | _mean(values))
    return pd.DataFrame(rows, columns=DIFFERENCE_COLUMNS)


def _cell(key: Any) -> dict[str, Any]:
    return dict(zip(CELL, key, strict=True))


def _mean(values: NDArray[np.float64]) -> dict[str, float]:
    low, high = t_interval(values)
    return {"mean": float(np.mean(values)), "ci_low": low, "ci_high": high}
