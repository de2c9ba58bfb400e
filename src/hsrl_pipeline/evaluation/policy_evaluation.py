"""One evaluation: an agent and the five references, on both simulators, in common sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pandas as pd

from hsrl_pipeline.agents.base import Policy
from hsrl_pipeline.agents.policy_checkpoint import agent_context, restore_policy
from hsrl_pipeline.agents.slate_selection import SlateSelector
from hsrl_pipeline.config.agent import REFERENCE_NAMES, AgentConfig
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.data.synthetic_truth import SyntheticTruth
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.evaluation.kept_rollouts import (
    NOTHING_KEPT,
    KeptRollouts,
    ReferenceRecords,
    roll_out,
)
from hsrl_pipeline.evaluation.log_tables import judge_on_log
from hsrl_pipeline.evaluation.references import build_references, training_clicks
from hsrl_pipeline.evaluation.rollout_metrics import long_tail_items
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting
from hsrl_pipeline.evaluation.session_draws import SessionDraws
from hsrl_pipeline.evaluation.tables import EvaluationTables, tabulate
from hsrl_pipeline.evaluation.truth_check import ORACLE, roll_out_on_truth
from hsrl_pipeline.evaluation.versions import array_version, code_version, sessions_version
from hsrl_pipeline.provenance import check_provenance, checkpoint_version
from hsrl_pipeline.seeding import derive_seed
from hsrl_pipeline.simulator.newcomers import introduce
from hsrl_pipeline.simulator.response.checkpoint import build_response_model
from hsrl_pipeline.simulator.response.user_identity import users_as_read
from hsrl_pipeline.simulator.session_data import SessionData
from hsrl_pipeline.simulator.session_setting import SessionSetting

STATIC_SLATE_SESSIONS = 2000
"""Sessions of training users in which a static slate is fitted, unless fewer are evaluated."""


def evaluate_agent(
    data: SessionData,
    simulators: Mapping[str, Mapping[str, Any]],
    trained_policy: Mapping[str, Any],
    *,
    agent: AgentConfig,
    seed: int,
    evaluation: EvaluationConfig,
    sessions: SessionSetting,
    truth: SyntheticTruth | None = None,
    reference_records: ReferenceRecords = NOTHING_KEPT,
    propensities: pd.DataFrame | None = None,
) -> EvaluationTables:
    """Evaluate a trained agent and the references on both simulators.

    Args:
        data: What to evaluate on.
        simulators: Checkpoints of the simulators ``train`` and ``eval``.
        trained_policy: Checkpoint of the agent.
        agent: Name and label of the run's agent.
        seed: Seed of the run; names the rows.
        evaluation: Number of sessions, their seed and split.
        sessions: Rules of the sessions and the device to roll out on.
        truth: The true users, rows by canonical index; None when nobody knows them.
        reference_records: Where the sessions of references are kept from one evaluation to the
            next; by default they are not.
        propensities: Canonical table; None or without rows where no pairs have propensities.

    Raises:
        UserError: The policy is another agent's, or was trained on other data or codes or in
            another regime than asked for.
    """
    _refuse_stale(trained_policy["config"], data, agent.name)
    _refuse_other_regime(trained_policy["config"], evaluation, sessions)
    info, users = users_as_read(data.info, data.users, simulators["eval"])
    data = replace(data, info=info, users=users)
    responses = {
        name: build_response_model(checkpoint, sessions.device)
        for name, checkpoint in simulators.items()
    }
    pool = data.judged_pool(responses["eval"], evaluation.split, sessions.session)
    if evaluation.infer_tastes:
        before = data.answers_before(responses["eval"], evaluation.split)
        rules = (sessions.session.horizon, sessions.slate_size)
        draws = SessionDraws(evaluation.seed, len(pool), *rules)
        responses, pool = introduce(responses, pool, before, draws.starts(evaluation.n_episodes))
    setting = EvaluationSetting(
        pool=pool,
        sessions=sessions,
        item_vectors=data.item_vectors,
        n_episodes=evaluation.n_episodes,
        seed=evaluation.seed,
        batch_size=evaluation.batch_size,
    )
    clicks = training_clicks(data.log, data.info.n_items)
    policy = restore_policy(trained_policy, agent_context(data, sessions, seed))
    policy.name = _judged_name(agent, evaluation, sessions)
    selector = SlateSelector(
        sessions.n_items, sessions.slate_size, sessions.shelves, sessions.device
    )
    versions = {
        "sessions_version": sessions_version(
            data.info.version, evaluation, setting, _judge_version(simulators["eval"])
        ),
        "dataset_version": data.info.version,
        "codebook_version": data.codebook.version,
    }
    simulator_versions = {
        name: checkpoint_version(checkpoint) for name, checkpoint in simulators.items()
    }

    @cache
    def references() -> dict[str, Policy]:
        training_setting = replace(
            setting,
            pool=data.pool("train", sessions.session),
            n_episodes=min(evaluation.n_episodes, STATIC_SLATE_SESSIONS),
            seed=derive_seed(evaluation.seed, "evaluation.static_slate"),
        )
        made = build_references(responses, clicks, selector, training_setting, kept)
        return {reference.name: reference for reference in made}

    policies: dict[str, Callable[[], Policy]] = {policy.name: lambda: policy}
    for name in REFERENCE_NAMES:
        policies[name] = lambda name=name: references()[name]  # type: ignore[misc]
    kept = KeptRollouts(
        reference_records,
        (*REFERENCE_NAMES, ORACLE),
        {
            "sessions": versions["sessions_version"],
            "dataset": versions["dataset_version"],
            "simulators": simulator_versions,
            "truth": None if truth is None else checkpoint_version(truth.to_checkpoint()),
            "item_vectors": array_version(data.item_vectors),
            "n_episodes": setting.n_episodes,
            "batch_size": setting.batch_size,
            "device": sessions.device.type,
            "code": code_version(),
        },
    )
    records = roll_out(policies, responses, setting, kept)
    true_records = {}
    if truth is not None:
        true_records = roll_out_on_truth(policies, truth, selector, setting, kept)
    tables = tabulate(
        records,
        true_records,
        long_tail_items(clicks),
        agent_name=policy.name,
        seed=seed,
        regime=sessions.candidates.regime,
        evaluation=evaluation,
        versions=versions,
        simulator_versions=simulator_versions,
    )
    return judge_on_log(
        tables,
        policies,
        policy.name,
        responses,
        propensities,
        data=data,
        sessions=sessions,
        evaluation=evaluation,
        seed=seed,
        versions=versions,
    )


def _judge_version(checkpoint: Mapping[str, Any]) -> str | None:
    """Return what tells apart the people whose recorded answers judge; None for a model."""
    recorded = checkpoint["config"].get("kind") == "recorded"
    return f"recorded {checkpoint_version(checkpoint)}" if recorded else None


def _judged_name(agent: AgentConfig, evaluation: EvaluationConfig, sessions: SessionSetting) -> str:
    """Return the policy's name in tables, which tells when it was trained in the other regime."""
    if evaluation.policy_regime in (None, sessions.candidates.regime):
        return agent.shown_name
    return f"{agent.shown_name}@{evaluation.policy_regime}"


def _refuse_other_regime(
    config: Mapping[str, Any], evaluation: EvaluationConfig, sessions: SessionSetting
) -> None:
    """Refuse a policy of another regime than that asked for; older ones do not tell theirs."""
    expected = evaluation.policy_regime or sessions.candidates.regime
    if config.get("regime", expected) != expected:
        raise UserError(
            f"The trained policy is of the regime {config['regime']}, not of {expected}",
            where="evaluation.policy_regime",
            remedy=f"Judge it with evaluation.policy_regime={config['regime']}, or train one in "
            f"the regime {expected}.",
        )


def _refuse_stale(config: Mapping[str, Any], data: SessionData, agent_name: str) -> None:
    """Refuse a policy of another agent, dataset or codebook."""
    if config.get("agent") != agent_name:
        raise UserError(
            f"The trained policy has agent {config.get('agent')!r}, this run has {agent_name!r}",
            where=f"policy of agent {agent_name}",
            remedy="Run first: kedro run --pipeline agent_training with the same options.",
        )
    check_provenance(
        {
            "dataset_info": {"version": data.info.version},
            "codebook": {"version": data.codebook.version, "dataset_version": data.info.version},
            "trained_policy": config,
        },
        " with the same options",
    )
