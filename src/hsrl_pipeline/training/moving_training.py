"""Agents through all changes of a catalogue: while they learn, after, or anew after each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from hsrl_pipeline.agents.policy_snapshots import PolicySnapshots
from hsrl_pipeline.catalogue.timetable import Timetable
from hsrl_pipeline.config.agents.shared import AgentSettings
from hsrl_pipeline.config.training import TrainingConfig
from hsrl_pipeline.simulator.moving_world import MovingWorld
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.training.agent_training import train_agent
from hsrl_pipeline.training.checkpoint_store import CheckpointStore
from hsrl_pipeline.training.trainer import MetricStream


def train_through_changes(
    world: MovingWorld,
    simulator: Mapping[str, Any],
    settings: AgentSettings,
    timetable: Timetable,
    *,
    agent_name: str,
    training: TrainingConfig,
    sessions: SessionSetting,
    seed: int,
    snapshots: PolicySnapshots,
    on_metrics: MetricStream | None = None,
    checkpoints: CheckpointStore | None = None,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Train an agent under the versions of a catalogue, and keep it at the times of its judging.

    It learns from the log as it is known at launch. Training continues a killed run where
    ``training.resume`` says so; policies that were kept before stay then.

    Args:
        world: Data and versions of the catalogue.
        simulator: Checkpoint of the training simulator.
        settings: Settings of the agent.
        timetable: When the catalogue changes and when the policy is kept.
        agent_name: Registered name of the agent.
        training: Batch sizes and resume; the length is that of the timetable.
        sessions: Rules of the sessions and the device to train on.
        seed: Seed of the run.
        snapshots: Keeps the policies.
        on_metrics: Called with each point of the training curves.
        checkpoints: Keeps the state to resume from.

    Returns:
        The policy checkpoint at the end and the training curves.
    """
    if not training.resume:
        snapshots.discard()
    later = dict(zip(timetable.change_at, world.versions[1:], strict=False))
    return train_agent(
        world.known_at_launch,
        simulator,
        settings,
        agent_name=agent_name,
        training=training.model_copy(update={"n_iterations": timetable.n_iterations}),
        sessions=sessions,
        seed=seed,
        on_metrics=on_metrics,
        checkpoints=checkpoints,
        catalogues={0: world.versions[0], **later},
        snapshots=snapshots,
        kept_at=timetable.kept_at,
        facts={"catalogue_schedule_version": world.schedule.version},
    )


def retrain_after_changes(
    world: MovingWorld,
    simulator: Mapping[str, Any],
    settings: AgentSettings,
    timetable: Timetable,
    *,
    agent_name: str,
    training: TrainingConfig,
    sessions: SessionSetting,
    seed: int,
    snapshots: PolicySnapshots,
    on_metrics: MetricStream | None = None,
    checkpoints: CheckpointStore | None = None,
) -> None:
    """Train a new agent from scratch on the live items after each change, and keep it at its end.

    Each knows what anyone knows then: the log as of the launch, and vectors and semantic IDs of
    all items that have arrived. Where ``training.resume`` says so, a killed run goes on with the
    change it was at.

    Args:
        world: Data and versions of the catalogue.
        simulator: Checkpoint of the training simulator.
        settings: Settings of the agent.
        timetable: How long each agent learns.
        agent_name: Registered name of the agent.
        training: Batch sizes and resume; the lengths are those of the timetable.
        sessions: Rules of the sessions and the device to train on.
        seed: Seed of the run.
        snapshots: Keeps the policies.
        on_metrics: Called with each point of the training curves; the agents' updates are counted
            on.
        checkpoints: Keeps the state to resume from.
    """
    kept = checkpoints.load() if checkpoints is not None and training.resume else None
    if kept is None:
        snapshots.discard()
        if checkpoints is not None:
            checkpoints.discard()
    first = 1 if kept is None else int(kept["change"])
    known = world.known_at_launch
    for start, point in zip(timetable.change_at, timetable.points, strict=True):
        if point.change < first:
            continue
        policy, _ = train_agent(
            known,
            simulator,
            settings,
            agent_name=agent_name,
            training=training.model_copy(update={"n_iterations": point.updates}),
            sessions=sessions,
            seed=seed,
            on_metrics=None if on_metrics is None else partial(_counted_on, on_metrics, start),
            checkpoints=None if checkpoints is None else _OfChange(checkpoints, point.change),
            catalogues={0: world.versions[point.change]},
            facts={"catalogue_schedule_version": world.schedule.version},
        )
        snapshots.save(point.at, policy)


def _counted_on(
    on_metrics: MetricStream, start: int, step: int, figures: Mapping[str, float]
) -> None:
    on_metrics(start + step, figures)


class _OfChange:
    """The checkpoint of the agent of one change, in a store that holds that of the last one."""

    def __init__(self, store: CheckpointStore, change: int) -> None:
        self._store = store
        self._change = change

    def save(self, state: Mapping[str, Any]) -> None:
        self._store.save({"change": self._change, "state": dict(state)})

    def load(self) -> dict[str, Any] | None:
        kept = self._store.load()
        return kept["state"] if kept is not None and kept["change"] == self._change else None

    def discard(self) -> None:
        # that of an earlier change says which policies are kept already
        if self.load() is not None:
            self._store.discard()
