"""One training run from canonical tables to a trained policy."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from hsrl_pipeline.agents.base import Agent
from hsrl_pipeline.agents.policy_checkpoint import agent_context, describe_policy, priors_in_use
from hsrl_pipeline.agents.policy_snapshots import PolicySnapshots
from hsrl_pipeline.agents.registry import build_agent
from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.config.agents.shared import AgentSettings
from hsrl_pipeline.config.training import TrainingConfig
from hsrl_pipeline.data.slate_log import split_latest
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.provenance import checkpoint_version
from hsrl_pipeline.seeding import derive_seed
from hsrl_pipeline.simulator.response.checkpoint import build_response_model
from hsrl_pipeline.simulator.response.ensemble import EnsembleResponse
from hsrl_pipeline.simulator.response.user_identity import users_as_read
from hsrl_pipeline.simulator.session_data import SessionData
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.training.checkpoint_store import CheckpointStore
from hsrl_pipeline.training.early_stopping import EarlyStopping, StopsEarly
from hsrl_pipeline.training.log_sampler import LogSampler
from hsrl_pipeline.training.trainer import MetricStream, Trainer


def train_agent(
    data: SessionData,
    simulator: Mapping[str, Any],
    settings: AgentSettings,
    *,
    agent_name: str,
    training: TrainingConfig,
    sessions: SessionSetting,
    seed: int,
    on_metrics: MetricStream | None = None,
    checkpoints: CheckpointStore | None = None,
    catalogues: Mapping[int, LiveCatalogue] | None = None,
    snapshots: PolicySnapshots | None = None,
    kept_at: Collection[int] = (),
    facts: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Build an agent and its sessions, train it and describe the result.

    Args:
        data: What to train on; only its training split is read.
        simulator: Checkpoint of the training simulator, never of the evaluation one.
        settings: Settings of the agent.
        agent_name: Registered name of the agent.
        training: Length, batch sizes, resume.
        sessions: Rules of the sessions and the device to train on.
        seed: Seed of the run.
        on_metrics: Called with each point of the training curves.
        checkpoints: Keeps the state to resume from.
        catalogues: Versions of a moving catalogue by iteration, as for ``Trainer``; item vectors
            and codebook of the data are then those of the launch.
        snapshots: Keeps the policy as it was after some numbers of updates.
        kept_at: These numbers; at one of a change, the policy is kept before it.
        facts: Further JSON-able facts that belong to the run's identity and its checkpoints.

    Returns:
        The policy checkpoint (``describe_policy``) and the training curves.

    Raises:
        UserError: There is a penalty on disagreement, and the simulator has a single member.
    """
    info, users = users_as_read(data.info, data.users, simulator)
    data = replace(data, info=info, users=users)
    context = agent_context(data, sessions, seed)
    agent = build_agent(agent_name, settings, context)
    device = sessions.device
    fitting, stopping = data.log.train, None
    if isinstance(agent, StopsEarly) and agent.early_stopping.held_out_share > 0.0:
        fitting, latest = split_latest(fitting, agent.early_stopping.held_out_share)
        held_out = LogSampler(latest, data.users, sessions.session, seed, device)
        stopping = EarlyStopping(agent, held_out)
    response = build_response_model(dict(simulator), device)
    penalised = training.disagreement_penalty > 0.0
    if penalised and not isinstance(response, EnsembleResponse):
        raise UserError(
            f"training.disagreement_penalty is {training.disagreement_penalty}, but the training "
            "simulator has no members that could disagree",
            where="simulator_train",
            remedy="Run first: kedro run --pipeline simulator_training with simulator.n_members of "
            "at least 2 and simulator.kind=learned.",
        )
    acting = SlateSessions(
        response,
        data.pool("train", sessions.session),
        sessions,
        batch_size=training.acting_batch_size,
        seed=derive_seed(seed, "training.sessions"),
        measure_disagreement=penalised,
    )
    provenance: dict[str, Any] = {
        "dataset": info.dataset,
        "dataset_version": info.version,
        "item_vectors_version": data.item_vectors_version,
        "codebook_version": data.codebook.version,
        "simulator_train_version": checkpoint_version(simulator),
        **(facts or {}),
    }

    def keep(updates: int, trained: Agent) -> None:
        assert snapshots is not None  # nothing is watched then
        described = {**provenance, "n_iterations": str(updates)}
        snapshots.save(updates, describe_policy(trained, settings, context, described))

    trainer = Trainer(
        agent,
        training,
        seed=seed,
        device=device,
        sessions=acting,
        log=LogSampler(fitting, data.users, sessions.session, seed, device),
        stopping=stopping,
        identity={
            **provenance,
            **priors_in_use(context),
            "agents": {agent_name: settings.model_dump(mode="json")},
            "session": sessions.session.as_recorded(),
            "reward": sessions.reward.model_dump(mode="json"),
            "candidates": sessions.candidates.model_dump(mode="json", exclude_none=True),
        },
        catalogues=catalogues,
        watch=keep,
        watch_at=() if snapshots is None else kept_at,
    )
    provenance["regime"] = sessions.candidates.regime
    history = trainer.run(on_metrics, checkpoints)
    provenance["n_iterations"] = str(training.n_iterations)
    return describe_policy(agent, settings, context, provenance), history
