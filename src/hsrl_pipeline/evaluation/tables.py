"""The tables of an evaluation, made from the records of its sessions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.config.session import Regime
from hsrl_pipeline.evaluation.bootstrap import bootstrap_intervals
from hsrl_pipeline.evaluation.comparison import METRICS, SESSION_KEYS
from hsrl_pipeline.evaluation.rollout_metrics import session_metrics, step_table, user_table
from hsrl_pipeline.evaluation.session_records import SessionRecords
from hsrl_pipeline.evaluation.truth_check import rank_agreement, share_found, truth_table


@dataclass(frozen=True)
class EvaluationTables:
    """What one evaluation found out.

    Attributes:
        summary: One row per (policy, seed, simulator, regime), with the columns of summary.csv.
        metrics: The agent's figures, flat, for tracking; of the evaluation simulator unless the
            name says otherwise. Where the truth is known, ``truth_share_found`` and the ends of
            its interval say how much of what is personal Psi_train has found.
        sessions: One row per (policy, seed, simulator, regime, episode).
        steps: Reward and survival by step, per (policy, seed, simulator, regime).
        users: Means per user, per (policy, seed, simulator, regime).
        truth: Rewards and ranks from the true users, see ``truth_check.truth_table``; no rows
            when nobody knows them.
        ranking: Recall and NDCG on the test slates, see ``ranking.rank_test_slates``.
        off_policy: Estimates where the log has propensities, see
            ``off_policy_table.off_policy_table``.
    """

    summary: pd.DataFrame
    metrics: dict[str, float]
    sessions: pd.DataFrame
    steps: pd.DataFrame
    users: pd.DataFrame
    truth: pd.DataFrame
    ranking: pd.DataFrame = field(default_factory=pd.DataFrame)
    off_policy: pd.DataFrame = field(default_factory=pd.DataFrame)


def tabulate(
    records: Mapping[tuple[str, str], SessionRecords],
    true_records: Mapping[str, SessionRecords],
    long_tail: NDArray[np.bool_],
    *,
    agent_name: str,
    seed: int,
    regime: Regime,
    evaluation: EvaluationConfig,
    versions: Mapping[str, str],
    simulator_versions: Mapping[str, str],
) -> EvaluationTables:
    """Return the tables of an evaluation.

    Args:
        records: Sessions by (policy, simulator).
        true_records: Sessions with the true users by policy; empty when nobody knows them.
        long_tail: (item,) bool. Items outside the head.
        agent_name: The policy whose figures are tracked.
        seed: Seed of the run.
        regime: Whether items were shown once or again and again.
        evaluation: Resamples and seed of the intervals.
        versions: Of sessions, dataset and codebook.
        simulator_versions: Of each simulator.
    """
    rows: list[dict[str, Any]] = []
    sessions, steps, users = [], [], []
    for (policy, simulator), record in records.items():
        key: dict[str, Any] = dict(
            zip(SESSION_KEYS, (policy, seed, simulator, regime), strict=True)
        )
        outcome = np.column_stack([record.total_reward, record.depth.astype(np.float64)])
        intervals = bootstrap_intervals(outcome, evaluation.n_resamples, evaluation.seed)
        found = session_metrics(record, long_tail)
        ends = {
            f"{metric}_ci_{end}": float(intervals[number, side])
            for number, metric in enumerate(METRICS)
            for side, end in enumerate(("low", "high"))
        }
        rows.append(
            {**key, "n_episodes": len(record.users), **found, **ends}
            | {**versions, "simulator_version": simulator_versions[simulator]}
        )
        sessions.append(
            pd.DataFrame(
                {
                    "episode": np.arange(len(record.users), dtype=np.int32),
                    "user_index": record.users.astype(np.int32),
                    "total_reward": record.total_reward,
                    "depth": record.depth.astype(np.int32),
                }
            ).assign(
                **key,
                sessions_version=versions["sessions_version"],
                simulator_version=simulator_versions[simulator],
            )
        )
        steps.append(_keyed(step_table(record), key))
        users.append(_keyed(user_table(record), key))
    truth = truth_table(
        true_records,
        records,
        seed=seed,
        n_resamples=evaluation.n_resamples,
        bootstrap_seed=evaluation.seed,
    )
    metrics = tracked_metrics(rows, truth, agent_name)
    if true_records:
        resampling = (evaluation.n_resamples, evaluation.seed)
        shares = share_found(true_records, "static_slate", "greedy_train_simulator", *resampling)
        names = ("", "_ci_low", "_ci_high")
        found = {f"truth_share_found{name}": v for name, v in zip(names, shares, strict=True)}
        metrics |= {name: value for name, value in found.items() if not math.isnan(value)}
    return EvaluationTables(
        summary=pd.DataFrame(rows),
        metrics=metrics,
        sessions=pd.concat(sessions, ignore_index=True),
        steps=pd.concat(steps, ignore_index=True),
        users=pd.concat(users, ignore_index=True),
        truth=truth,
    )


def tracked_metrics(
    rows: Sequence[Mapping[str, Any]], truth: pd.DataFrame, agent_name: str
) -> dict[str, float]:
    """Return the figures of one evaluation as a flat dictionary.

    Args:
        rows: The rows of this evaluation's summary.
        truth: As ``truth_check.truth_table`` returns it.
        agent_name: The policy in the foreground.

    Returns:
        The agent's columns on the evaluation simulator under their own names, its rewards on the
        training simulator as ``train_*``, ``train_eval_gap`` and the references' total reward as
        ``reference_<name>_total_reward``. Where the truth is known, ``true_total_reward`` and
        ``truth_rank_agreement`` (Kendall's tau of truth and evaluation
        simulator). Figures that are not defined are left out.
    """
    by_key = {(row["policy"], row["simulator"]): row for row in rows}
    figures = {
        name: value
        for name, value in by_key[agent_name, "eval"].items()
        if isinstance(value, float)
    }
    for metric in METRICS:
        figures[f"train_{metric}"] = by_key[agent_name, "train"][metric]
    figures["train_eval_gap"] = figures["train_total_reward"] - figures["total_reward"]
    for (policy, simulator), row in by_key.items():
        if policy != agent_name and simulator == "eval":
            figures[f"reference_{policy}_total_reward"] = row["total_reward"]
    if len(truth):
        own = truth["policy"] == agent_name
        figures["true_total_reward"] = float(truth.loc[own, "true_total_reward"].iloc[0])
        figures["truth_rank_agreement"] = rank_agreement(truth)
    return {name: value for name, value in figures.items() if not math.isnan(value)}


def _keyed(table: pd.DataFrame, key: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table with the key columns in front."""
    return pd.concat([pd.DataFrame([key] * len(table), index=table.index), table], axis=1)
