"""Policies judged on the log itself: rankings of test slates and off-policy estimates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import pandas as pd

from hsrl_pipeline.agents.base import Policy
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.evaluation.off_policy_table import off_policy_table
from hsrl_pipeline.evaluation.ranking import rank_test_slates
from hsrl_pipeline.evaluation.tables import EvaluationTables
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.response.recorded import RecordedResponse
from hsrl_pipeline.simulator.session_data import SessionData
from hsrl_pipeline.simulator.session_setting import SessionSetting

GREEDY_ON_JUDGE = "greedy_eval_simulator"


def judge_on_log(
    tables: EvaluationTables,
    policies: Mapping[str, Callable[[], Policy]],
    agent_name: str,
    responses: Mapping[str, UserResponseModel],
    propensities: pd.DataFrame | None,
    *,
    data: SessionData,
    sessions: SessionSetting,
    evaluation: EvaluationConfig,
    seed: int,
    versions: Mapping[str, str],
) -> EvaluationTables:
    """Return the tables of an evaluation with what the log says of the same policies.

    A policy that is greedy on recorded answers is left out: it knows what was answered, and only of
    those people whose answers are recorded.

    Args:
        tables: What the sessions said.
        policies: What makes each policy, by name.
        agent_name: The policy whose figures are tracked.
        responses: The simulators ``train`` and ``eval``.
        propensities: Canonical table of pairs; None or without rows where there is none.
        data: The log and its users.
        sessions: Rules, sizes and device of the sessions.
        evaluation: Number of slates, draws, seed, resamples.
        seed: Seed of the run; names the rows.
        versions: Of sessions, dataset and codebook.
    """
    if isinstance(responses["eval"], RecordedResponse):
        policies = {name: make for name, make in policies.items() if name != GREEDY_ON_JUDGE}
    ranking = rank_test_slates(policies, data, sessions, evaluation, seed=seed)
    off_policy = off_policy_table(
        policies,
        agent_name,
        responses["train"],
        propensities,
        data=data,
        sessions=sessions,
        evaluation=evaluation,
        seed=seed,
    )
    kept = {name: versions[name] for name in ("dataset_version", "codebook_version")}
    return replace(
        tables,
        ranking=ranking.assign(**kept),
        off_policy=off_policy.assign(**kept),
        metrics=tables.metrics | log_metrics(ranking, off_policy, agent_name),
    )


def log_metrics(
    ranking: pd.DataFrame, off_policy: pd.DataFrame, agent_name: str
) -> dict[str, float]:
    """Return the agent's figures on the log, flat, for tracking.

    Args:
        ranking: As ``ranking.rank_test_slates`` returns it.
        off_policy: As ``off_policy_table.off_policy_table`` returns it.
        agent_name: The policy in the foreground.

    Returns:
        ``recall_at_k`` and ``ndcg_at_k``, k being the slate size; the estimates of the greedy
        policy ``off_policy_ips``, ``off_policy_snips`` and ``off_policy_doubly_robust`` with
        ``off_policy_effective_sample_size``, on the test slates where these have propensities.
        Figures that are not defined are left out.
    """
    own = ranking[ranking["policy"] == agent_name]
    figures = {
        f"{metric}_at_k": float(own[metric].iloc[0]) for metric in ("recall", "ndcg") if len(own)
    }
    greedy = off_policy[(off_policy["policy"] == agent_name) & (off_policy["acting"] == "greedy")]
    part = greedy[greedy["log_part"] == greedy["log_part"].iloc[0]] if len(greedy) else greedy
    for row in part[part["estimator"] != "direct"].to_dict("records"):
        figures[f"off_policy_{row['estimator']}"] = float(row["value"])
        figures["off_policy_effective_sample_size"] = float(row["effective_sample_size"])
    return {name: value for name, value in figures.items() if not math.isnan(value)}
