"""Paired differences between policies that met the same sessions."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.evaluation.bootstrap import bootstrap_intervals

METRICS = ("total_reward", "depth")
"""Metrics of a session whose differences are taken."""

Key = tuple[str, int, str, str]

GAP_COLUMNS = [
    "policy",
    "seed",
    "regime",
    "gap",
    "gap_ci_low",
    "gap_ci_high",
    "train_total_reward",
    "eval_total_reward",
]

SESSION_KEYS = ["policy", "seed", "simulator", "regime"]
"""What tells one evaluated policy from another."""


def paired_differences(
    sessions: pd.DataFrame, compare_with: str, n_resamples: int, seed: int
) -> pd.DataFrame:
    """Return how much better each policy is than a named one, session by session.

    Policies are paired within a simulator and a regime, and only where both met the same sessions
    (equal ``sessions_version``) on the same one (equal ``simulator_version``). A policy trained
    with several seeds has one row per seed; the named policy is taken with the same seed if it was
    evaluated with it, else with its lowest.

    Args:
        sessions: One row per (policy, seed, simulator, regime, episode) with ``sessions_version``,
            ``simulator_version``, ``total_reward`` and ``depth``.
        compare_with: Name of the policy that the others are compared with.
        n_resamples: Bootstrap resamples of each interval.
        seed: Seed of the resampling.

    Returns:
        One row per (policy, seed, simulator, regime) other than the named policy:
        ``compared_with``, ``compared_seed``, ``n_episodes`` and, for each metric,
        ``<metric>_difference`` with
        ``_ci_low`` and ``_ci_high``, and ``win_rate`` (share of sessions with more total reward,
        ties half).

    Raises:
        UserError: The named policy was never evaluated.
    """
    groups = {
        cast(Key, key): group.sort_values("episode")
        for key, group in sessions.groupby(SESSION_KEYS)
    }
    if not any(policy == compare_with for policy, *_ in groups):
        raise UserError(
            f"'{compare_with}' was not evaluated, so nothing can be compared with it",
            where="evaluation.compare_with",
            remedy=f"Run first: kedro run --pipelines agent_training,offline_eval --params "
            f"agent.name={compare_with}",
        )
    rows = []
    for (policy, own_seed, simulator, regime), own in groups.items():
        if policy == compare_with:
            continue
        partner = _partner(groups, compare_with, own_seed, (simulator, regime), own)
        if partner is None:
            continue
        other_seed, other = partner
        differences = np.column_stack(
            [own[metric].to_numpy(float) - other[metric].to_numpy(float) for metric in METRICS]
        )
        intervals = bootstrap_intervals(differences, n_resamples, seed)
        row: dict[str, object] = {
            "policy": policy,
            "seed": own_seed,
            "simulator": simulator,
            "regime": regime,
            "compared_with": compare_with,
            "compared_seed": other_seed,
            "n_episodes": len(own),
        }
        for number, metric in enumerate(METRICS):
            row[f"{metric}_difference"] = float(differences[:, number].mean())
            row[f"{metric}_difference_ci_low"] = float(intervals[number, 0])
            row[f"{metric}_difference_ci_high"] = float(intervals[number, 1])
        row["win_rate"] = float((np.sign(differences[:, 0]) + 1.0).mean() / 2.0)
        rows.append(row)
    return pd.DataFrame(rows, columns=_columns())


def train_eval_gap(sessions: pd.DataFrame, n_resamples: int, seed: int) -> pd.DataFrame:
    """Return how much more each policy earns on the training than on the evaluation simulator.

    The sessions of the two simulators have the same users and uniform draws, so the difference is
    paired. A policy that exploits its simulator shows as a gap well above the others'.

    Args:
        sessions: One row per (policy, seed, simulator, regime, episode), as for
            ``paired_differences``.
        n_resamples: Bootstrap resamples of each interval.
        seed: Seed of the resampling.

    Returns:
        One row per (policy, seed, regime) evaluated on both: ``gap``, ``gap_ci_low``,
        ``gap_ci_high``, and the two rewards, ``train_total_reward`` (what the training simulator
        promises) and ``eval_total_reward`` (what the judge pays).
    """
    rows = []
    for (policy, own_seed, regime), group in sessions.groupby(["policy", "seed", "regime"]):
        by_simulator = {
            name: part.sort_values("episode") for name, part in group.groupby("simulator")
        }
        train, evaluated = by_simulator.get("train"), by_simulator.get("eval")
        if train is None or evaluated is None or not _same(train, evaluated, "sessions_version"):
            continue
        gaps = train["total_reward"].to_numpy() - evaluated["total_reward"].to_numpy()
        low, high = bootstrap_intervals(gaps[:, None], n_resamples, seed)[0]
        rows.append(
            {
                "policy": policy,
                "seed": own_seed,
                "regime": regime,
                "gap": float(gaps.mean()),
                "gap_ci_low": float(low),
                "gap_ci_high": float(high),
                "train_total_reward": float(train["total_reward"].mean()),
                "eval_total_reward": float(evaluated["total_reward"].mean()),
            }
        )
    return pd.DataFrame(rows, columns=GAP_COLUMNS)


def _partner(
    groups: dict[Key, pd.DataFrame],
    compare_with: str,
    own_seed: int,
    place: tuple[str, str],
    own: pd.DataFrame,
) -> tuple[int, pd.DataFrame] | None:
    """Return seed and sessions of the named policy that pair with a policy's in the same place."""
    matching = {
        other_seed: other
        for (policy, other_seed, *other_place), other in groups.items()
        if policy == compare_with
        and tuple(other_place) == place
        and _same(own, other, "simulator_version")
        and _same(own, other, "sessions_version")
    }
    if not matching:
        return None
    chosen = own_seed if own_seed in matching else min(matching)
    return chosen, matching[chosen]


def _same(one: pd.DataFrame, other: pd.DataFrame, version: str) -> bool:
    """Return whether two policies have as many sessions of one and the same version."""
    return len(one) == len(other) and bool(one[version].iloc[0] == other[version].iloc[0])


def _columns() -> list[str]:
    parts = [
        f"{metric}_difference{end}" for metric in METRICS for end in ("", "_ci_low", "_ci_high")
    ]
    return [*SESSION_KEYS, "compared_with", "compared_seed", "n_episodes", *parts, "win_rate"]
