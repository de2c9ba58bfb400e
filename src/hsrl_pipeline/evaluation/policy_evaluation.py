"""One evaluation: an agent and the five references, on both simulators, in common sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hsrl_pipeline.agents.base import Policy
from hsrl_pipeline.agents.policy_checkpoint import agent_context, restore_policy
from hsrl_pipeline.agents.slate_selection import SlateSelector
from hsrl_pipeline.config.agent import AgentConfig
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.data.synthetic_truth import SyntheticTruth
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.evaluation.references import build_references, training_clicks
from hsrl_pipeline.evaluation.rollout_metrics import long_tail_items
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting, SessionRecords, evaluate_policy
from hsrl_pipeline.evaluation.tables import EvaluationTables, tabulate
from hsrl_pipeline.evaluation.truth_check import roll_out_on_truth
from hsrl_pipeline.evaluation.versions import sessions_version
from hsrl_pipeline.progress import Progress
from hsrl_pipeline.provenance import check_provenance, checkpoint_version
from hsrl_pipeline.seeding import derive_seed
from hsrl_pipeline.simulator.response.base import UserResponseModel
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

    Raises:
        UserError: The policy is another agent's, or was trained on other data or codes.
    """
    _refuse_stale(trained_policy["config"], data, agent.name)
    info, users = users_as_read(data.info, data.users, simulators["eval"])
    data = replace(data, info=info, users=users)
    responses = {
        name: build_response_model(checkpoint, sessions.device)
        for name, checkpoint in simulators.items()
    }
    history_size = sessions.session.history_size
    setting = EvaluationSetting(
        pool=data.judged_pool(responses["eval"], evaluation.split, history_size),
        sessions=sessions,
        item_vectors=data.item_vectors,
        n_episodes=evaluation.n_episodes,
        seed=evaluation.seed,
        batch_size=evaluation.batch_size,
    )
    clicks = training_clicks(data.log, data.info.n_items)
    policy = restore_policy(trained_policy, agent_context(data, sessions, seed))
    policy.name = agent.shown_name
    selector = SlateSelector(
        sessions.n_items, sessions.slate_size, sessions.shelves, sessions.device
    )
    references = build_references(
        responses,
        clicks,
        selector,
        replace(
            setting,
            pool=data.pool("train", history_size),
            n_episodes=min(evaluation.n_episodes, STATIC_SLATE_SESSIONS),
            seed=derive_seed(evaluation.seed, "evaluation.static_slate"),
        ),
    )
    policies = [policy, *references]
    records = roll_out(policies, responses, setting)
    true_records = {} if truth is None else roll_out_on_truth(policies, truth, selector, setting)
    versions = {
        "sessions_version": sessions_version(
            data.info.version, evaluation, setting, _judge_version(simulators["eval"])
        ),
        "dataset_version": data.info.version,
        "codebook_version": data.codebook.version,
    }
    return tabulate(
        records,
        true_records,
        long_tail_items(clicks),
        agent_name=agent.shown_name,
        seed=seed,
        evaluation=evaluation,
        versions=versions,
        simulator_versions={
            name: checkpoint_version(checkpoint) for name, checkpoint in simulators.items()
        },
    )


def roll_out(
    policies: Sequence[Policy],
    responses: Mapping[str, UserResponseModel],
    setting: EvaluationSetting,
) -> dict[tuple[str, str], SessionRecords]:
    """Roll every policy out on every simulator, in the same sessions.

    Args:
        policies: Policies of different names.
        responses: Simulators by name.
        setting: What all policies share.

    Returns:
        Records by (policy, simulator).
    """
    total = len(policies) * len(responses) * setting.n_episodes
    records = {}
    with Progress("Evaluating", total, unit="sessions") as progress:
        for policy in policies:
            for simulator, response in responses.items():
                records[policy.name, simulator] = evaluate_policy(
                    policy, response, setting, progress
                )
    return records


def _judge_version(checkpoint: Mapping[str, Any]) -> str | None:
    """Return what tells apart the people whose recorded answers judge; None for a model."""
    recorded = checkpoint["config"].get("kind") == "recorded"
    return f"recorded {checkpoint_version(checkpoint)}" if recorded else None


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
