"""Whether the simulator that agents learn in orders policies as the judge does."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau

from hsrl_pipeline.config.agent import REFERENCE_NAMES
from hsrl_pipeline.evaluation.bootstrap import LEVEL, resampled_means
from hsrl_pipeline.evaluation.comparison import SESSION_KEYS

SIMULATORS = ("train", "eval")

TAUS = ("kendall_tau", "kendall_tau_ci_low", "kendall_tau_ci_high")

COLUMNS = (
    "regime",
    "policies",
    "n_policies",
    *TAUS,
    "current",
    "n_episodes",
    "sessions_version",
    "simulator_train_version",
    "simulator_eval_version",
)

SESSIONS = ["n_episodes", "sessions_version"]
SIMULATOR_VERSIONS = [f"simulator_{name}_version" for name in SIMULATORS]
PLACE = ["regime", *SESSIONS, *SIMULATOR_VERSIONS]
"""What policies have in common whose rewards can be put in order."""

POLICY = ["policy", "seed"]


def simulator_agreement(
    sessions: pd.DataFrame, run: pd.DataFrame, n_resamples: int, seed: int
) -> pd.DataFrame:
    """Return how far two simulators agree on the order of policies: Kendall's tau-b.

    Both are asked for the Total Reward of the same policies in the same sessions. A trained policy
    counts once per seed, a reference once. Policies belong together when they met the same sessions
    on the same two simulators; only those on the simulators of this run are looked at.

    Args:
        sessions: One row per (policy, seed, simulator, regime, episode) with ``sessions_version``,
            ``simulator_version`` and ``total_reward``; of all runs so far.
        run: What this run evaluated: at least one row per (policy, seed, simulator, regime).
        n_resamples: Bootstrap resamples of sessions, the same for all policies and simulators.
        seed: Seed of the resampling.

    Returns:
        One row per regime, number of sessions, versions and ``policies`` (``all``, or ``agents``:
        those that learn) where there are two or more: ``n_policies``, ``kendall_tau`` (1 the same
        order, -1 the reverse, NaN where one simulator pays all alike) with its 95 % interval, and
        ``current`` (whether these are the run's own sessions).

    References:
        Kendall, The Treatment of Ties in Ranking Problems, Biometrika 1945.
    """
    judged = _judged_on_both(sessions)
    keys = run[[*POLICY, "regime"]].drop_duplicates().astype({"policy": str})
    own = judged.merge(keys)
    simulators = own[SIMULATOR_VERSIONS].drop_duplicates()
    rows = []
    for key, group in judged.merge(simulators).groupby(PLACE):
        place = dict(zip(PLACE, cast(tuple[Any, ...], key), strict=True))
        policies = group.drop_duplicates(POLICY)
        own_sessions = sessions.merge(policies[[*POLICY, "regime", *SESSIONS[1:]]])
        rewards = {
            name: _rewards(own_sessions, name, place[version], policies)
            for name, version in zip(SIMULATORS, SIMULATOR_VERSIONS, strict=True)
        }
        learns = ~policies["policy"].isin(REFERENCE_NAMES).to_numpy()
        current = len(own.merge(group)) > 0
        for name, chosen in (("all", np.ones_like(learns)), ("agents", learns)):
            if chosen.sum() >= 2:
                figures = rank_correlation(
                    rewards["train"][:, chosen], rewards["eval"][:, chosen], n_resamples, seed
                )
                taus = dict(zip(TAUS, figures, strict=True))
                counted = {"policies": name, "n_policies": int(chosen.sum()), "current": current}
                rows.append(place | counted | taus)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def agreement_metrics(table: pd.DataFrame) -> dict[str, float]:
    """Return the finite taus of the run's own sessions with the ends of their intervals, by name.

    Args:
        table: As `simulator_agreement` returns it.
    """
    figures = {
        f"simulator_agreement_{row['policies']}_{figure}": float(row[figure])
        for row in table[table["current"].astype(bool)].to_dict("records")
        for figure in TAUS
    }
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def rank_correlation(
    one: NDArray[np.float64], other: NDArray[np.float64], n_resamples: int, seed: int
) -> tuple[float, float, float]:
    """Return Kendall's tau-b of the column means of two tables, and its 95 % interval.

    Args:
        one: (session, policy) float64.
        other: (session, policy) float64. Row by row the same sessions as ``one``.
        n_resamples: Bootstrap resamples of sessions.
        seed: Seed of the resampling.

    Returns:
        Tau and both ends; NaN where the means of a table are all alike.
    """
    tau = _tau(one.mean(axis=0), other.mean(axis=0))
    means = (resampled_means(table, n_resamples, seed) for table in (one, other))
    resampled = np.array([_tau(*pair) for pair in zip(*means, strict=True)])
    defined = resampled[np.isfinite(resampled)]
    if not len(defined):
        return tau, float("nan"), float("nan")
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return tau, float(low), float(high)


def _tau(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    # means that differ by rounding alone are ties
    rounded = (np.round(means, 9) for means in (one, other))
    return float(kendalltau(*rounded, variant="b").statistic)


def _judged_on_both(sessions: pd.DataFrame) -> pd.DataFrame:
    """Return policy, seed and place of what was judged on both simulators.

    A reference is the same whatever the seed of the run, so it is taken once.
    """
    columns = [*SESSION_KEYS, "sessions_version", "simulator_version"]
    rows = sessions.groupby(columns).size().rename("n_episodes").reset_index()
    by_simulator = [
        rows[rows["simulator"] == name]
        .drop(columns="simulator")
        .rename(columns={"simulator_version": version})
        for name, version in zip(SIMULATORS, SIMULATOR_VERSIONS, strict=True)
    ]
    both = by_simulator[0].merge(by_simulator[1]).sort_values(POLICY)
    reference = both["policy"].isin(REFERENCE_NAMES)
    again = both.duplicated(["policy", *PLACE])
    return both[~(reference & again)]


def _rewards(
    sessions: pd.DataFrame, simulator: str, version: str, policies: pd.DataFrame
) -> NDArray[np.float64]:
    """Return (session, policy) float64: Total Reward on one simulator, in the policies' order."""
    own = (sessions["simulator"] == simulator) & (sessions["simulator_version"] == version)
    table = sessions[own].pivot(index="episode", columns=POLICY, values="total_reward")
    return table[list(policies[POLICY].itertuples(index=False, name=None))].to_numpy(np.float64)
