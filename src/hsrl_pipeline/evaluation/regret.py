"""What policies miss through the changes of a catalogue: area under regret, recovery."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.evaluation.bootstrap import bootstrap_intervals

RECOVERED_WITHIN = 0.1
"""Regret above that before a change at which a policy counts as recovered."""


def area_under_regret(
    regret: Mapping[tuple[int, int], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Return the area under the regret of each session, over all changes.

    Under each version, regret is averaged over the updates since the change (trapezoids between
    the numbers at which the policy was judged; a single value is itself). The averages add up.

    Args:
        regret: (session,) float64 by change and updates since it; the launch does not count.

    Returns:
        (session,) float64. Reward that was missed, added over the changes.
    """
    changes = sorted({change for change, _ in regret if change})
    total = np.zeros(len(next(iter(regret.values()))))
    for change in changes:
        at = sorted(updates for number, updates in regret if number == change)
        values = [regret[change, updates] for updates in at]
        if len(at) == 1:
            total += values[0]
            continue
        pairs = zip(itertools.pairwise(at), itertools.pairwise(values), strict=True)
        for (start, end), (first, last) in pairs:
            total += (end - start) * (first + last) / 2 / (at[-1] - at[0])
    return total


def recovery(before: float, after: Mapping[int, float]) -> dict[str, Any]:
    """Return the first number of updates at which regret is back, within ``RECOVERED_WITHIN``.

    Args:
        before: Regret before the change.
        after: Regret by updates since the change.

    Returns:
        ``recovery_updates``, NaN where it is not back at the last one, and ``censored_at``, the
        last number of updates that was looked at.
    """
    back = [updates for updates in sorted(after) if after[updates] <= before + RECOVERED_WITHIN]
    return {"recovery_updates": back[0] if back else math.nan, "censored_at": max(after)}


def area_differences(sessions: pd.DataFrame, n_resamples: int, seed: int) -> pd.DataFrame:
    """Return the paired differences of areas under regret between all pairs of policies.

    Args:
        sessions: The areas of all runs so far, as ``MovingTables.sessions``.
        n_resamples: Bootstrap resamples of the sessions.
        seed: Seed of the resampling.

    Returns:
        One row per pair with the same seed, simulator, regime, arm and path: ``policy``,
        ``other``, ``difference`` (below 0: ``policy`` misses less) and its 95 % interval.
    """
    rows = []
    keys = ["seed", "simulator", "regime", "arm", "path"]
    same = [*keys, "schedule_version", "sessions_version"]
    for key, own in sessions.groupby(same, sort=True):
        table = own.pivot(index="episode", columns="policy", values="area").dropna(axis=1)
        pairs = list(itertools.combinations(table.columns, 2))
        if not pairs:
            continue
        differences = np.column_stack(
            [table[one].to_numpy() - table[other].to_numpy() for one, other in pairs]
        )
        ends = bootstrap_intervals(differences, n_resamples, seed)
        for (one, other), values, (low, high) in zip(pairs, differences.T, ends, strict=True):
            rows.append(
                {
                    **dict(zip(same, key, strict=True)),
                    "policy": one,
                    "other": other,
                    "difference": float(values.mean()),
                    "difference_ci_low": float(low),
                    "difference_ci_high": float(high),
                }
            )
    columns = ["policy", "other", *same, "difference", "difference_ci_low", "difference_ci_high"]
    return pd.DataFrame(rows, columns=columns)
