"""Nodes of the offline evaluation pipeline: thin over the library."""

from __future__ import annotations

from typing import Any

import hsrl_pipeline.pipelines.lazy_pandas as pd
from hsrl_pipeline.config.agent import AgentConfig
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig


def evaluate_policies(
    *,
    dataset_info: dict[str, Any],
    users: pd.DataFrame,
    items: pd.DataFrame,
    slates: pd.DataFrame,
    timeline: pd.DataFrame,
    item_vectors: dict[str, Any],
    codebook: Any,
    item_priors: pd.DataFrame,
    simulator_train: dict[str, Any],
    simulator_eval: dict[str, Any],
    trained_policy: dict[str, Any],
    synthetic_truth: dict[str, Any],
    reference_records: Any,
    propensities: pd.DataFrame,
    agent: AgentConfig,
    evaluation: EvaluationConfig,
    session: SessionConfig,
    reward: RewardConfig,
    candidates: CandidatesConfig,
    seed: int,
) -> dict[str, Any]:
    """Roll the agent and the references out on both simulators, in common sessions.

    Args:
        dataset_info: Sizes of the dataset.
        users: Canonical table.
        items: Canonical table.
        slates: Canonical table.
        timeline: Canonical table.
        item_vectors: Checkpoint with ``vectors`` (item, embed) float32.
        codebook: Semantic IDs of the items.
        item_priors: Which of several items under one code is preferred.
        simulator_train: Checkpoint of the training simulator.
        simulator_eval: Checkpoint of the evaluation simulator.
        trained_policy: Checkpoint of the run's agent.
        synthetic_truth: Checkpoint of the true users; without arrays when nobody knows them.
        reference_records: Store of the sessions that references had in earlier evaluations.
        propensities: How likely pairs were to come into the log; without rows if unknown.
        agent: Name of the agent.
        evaluation: Number of sessions, their seed and split.
        session: Horizon, patience, history window.
        reward: From clicks to reward.
        candidates: Rules for slates.
        seed: Seed of the run.

    Returns:
        Tables and figures for tracking, by catalog name.
    """
    from hsrl_pipeline.data.synthetic_truth import SyntheticTruth
    from hsrl_pipeline.device import resolve_device
    from hsrl_pipeline.evaluation.policy_evaluation import evaluate_agent
    from hsrl_pipeline.simulator.session_data import SessionData

    data = SessionData.from_tables(
        dataset_info=dataset_info,
        users=users,
        items=items,
        slates=slates,
        timeline=timeline,
        item_vectors=item_vectors,
        codebook=codebook,
        item_priors=item_priors,
    )
    device = resolve_device(evaluation.device, "evaluation.device")
    known = bool(synthetic_truth["state"])
    tables = evaluate_agent(
        data,
        {"train": simulator_train, "eval": simulator_eval},
        trained_policy,
        agent=agent,
        seed=seed,
        evaluation=evaluation,
        sessions=data.setting(session, reward, candidates, device),
        truth=SyntheticTruth.from_checkpoint(synthetic_truth).aligned(users, items)
        if known
        else None,
        reference_records=reference_records,
        propensities=propensities,
    )
    return {
        "summary": tables.summary,
        "evaluation_metrics": tables.metrics,
        "evaluation_sessions": tables.sessions,
        "evaluation_steps": tables.steps,
        "evaluation_users": tables.users,
        "policy_truth": tables.truth,
        "ranking_summary": tables.ranking,
        "off_policy_summary": tables.off_policy,
    }


def compare_policies(
    evaluation_sessions: pd.DataFrame, evaluation: EvaluationConfig
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare all policies evaluated so far, session by session.

    Args:
        evaluation_sessions: Sessions of this and earlier runs.
        evaluation: Policy to compare with, resamples.

    Returns:
        Paired differences from ``evaluation.compare_with``, and train-eval gaps.
    """
    from hsrl_pipeline.evaluation.comparison import paired_differences, train_eval_gap

    resampling = (evaluation.n_resamples, evaluation.seed)
    return (
        paired_differences(evaluation_sessions, evaluation.compare_with, *resampling),
        train_eval_gap(evaluation_sessions, *resampling),
    )


def compare_simulators(
    evaluation_sessions: pd.DataFrame, evaluation_steps: pd.DataFrame, evaluation: EvaluationConfig
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Say whether the training simulator orders the policies evaluated so far as the judge does.

    Args:
        evaluation_sessions: Sessions of this and earlier runs.
        evaluation_steps: Rows of this run's policies.
        evaluation: Resamples.

    Returns:
        Kendall's tau per regime, and the run's own by name.
    """
    from hsrl_pipeline.evaluation.simulator_agreement import agreement_metrics, simulator_agreement

    table = simulator_agreement(
        evaluation_sessions, evaluation_steps, evaluation.n_resamples, evaluation.seed
    )
    return table, agreement_metrics(table)


def plot_evaluation(
    evaluation_steps: pd.DataFrame, policy_differences: pd.DataFrame
) -> tuple[Any, Any]:
    """Draw reward and survival by step, and the paired differences.

    Args:
        evaluation_steps: Reward and survival by step of this run's policies.
        policy_differences: Paired differences of all policies.

    Returns:
        Two matplotlib figures.
    """
    from hsrl_pipeline.evaluation.plots import plot_differences, plot_steps

    return plot_steps(evaluation_steps), plot_differences(policy_differences)
