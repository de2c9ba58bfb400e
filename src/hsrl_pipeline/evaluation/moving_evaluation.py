"""Policies judged under every version of a catalogue that moves, in common sessions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.agents.base import Policy
from hsrl_pipeline.agents.policy_checkpoint import agent_context, restore_policy
from hsrl_pipeline.agents.policy_snapshots import PolicySnapshots
from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.catalogue.timetable import Mode, Point, Timetable
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.data.synthetic_truth import SyntheticTruth
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.evaluation.kept_rollouts import (
    NOTHING_KEPT,
    KeptRollouts,
    ReferenceRecords,
    roll_out,
)
from hsrl_pipeline.evaluation.live_references import live_references, live_selector
from hsrl_pipeline.evaluation.policy_evaluation import STATIC_SLATE_SESSIONS
from hsrl_pipeline.evaluation.references import ItemScorePolicy, fit_static_slate, training_clicks
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting, SessionRecords
from hsrl_pipeline.evaluation.truth_check import Blindfolded, TrueResponse, identify_users
from hsrl_pipeline.evaluation.versions import array_version, code_version, sessions_version
from hsrl_pipeline.provenance import checkpoint_version
from hsrl_pipeline.seeding import derive_seed
from hsrl_pipeline.simulator.moving_world import MovingWorld
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.response.checkpoint import build_response_model
from hsrl_pipeline.simulator.response.user_identity import users_as_read
from hsrl_pipeline.simulator.session_setting import SessionSetting

UPPER = "greedy_full_knowledge"
"""The reference that regret is counted from."""

LIVE_REFERENCES = (
    "random",
    "popular",
    "static_slate",
    "static_slate_full_knowledge",
    "greedy_same_knowledge",
    UPPER,
)


@dataclass(frozen=True)
class ChangeCost:
    """What it took a frozen policy to take a change.

    Attributes:
        change: Number of the change, from 1.
        version: Version of the catalogue after it.
        seconds: Seconds of the process in ``set_catalogue``.
        published_bytes: Vectors and codes that the change publishes.
        checkpoint_bytes: All tensors of the policy after it.
    """

    change: int
    version: str
    seconds: float
    published_bytes: int
    checkpoint_bytes: int


@dataclass(frozen=True)
class Judged:
    """What happened under one version of the catalogue.

    Attributes:
        change: Changes that have come; 0 at launch.
        catalogue: The version.
        references: Sessions by (policy, simulator); simulator ``truth`` are the true users.
        policies: Sessions of the run's policies by (mode, point, simulator).
        costs: What taking the change cost; None at launch and where no policy stayed frozen.
        sessions_version: Equal where policies met the same users, draws and rules.
    """

    change: int
    catalogue: LiveCatalogue
    references: Mapping[tuple[str, str], SessionRecords]
    policies: Mapping[tuple[Mode, Point, str], SessionRecords]
    costs: ChangeCost | None
    sessions_version: str


def judge_through_changes(
    world: MovingWorld,
    simulators: Mapping[str, Mapping[str, Any]],
    lives: Mapping[Mode, tuple[Timetable, PolicySnapshots]],
    *,
    agent_name: str,
    seed: int,
    evaluation: EvaluationConfig,
    sessions: SessionSetting,
    launch_response: Mapping[str, Any] | None = None,
    truth: SyntheticTruth | None = None,
    reference_records: ReferenceRecords = NOTHING_KEPT,
) -> Iterator[Judged]:
    """Roll out the run's policies and the references under each version, in the same sessions.

    Args:
        world: Data and versions of the catalogue.
        simulators: Checkpoints of the simulators ``train`` and ``eval``.
        lives: The run's policies, by the way in which they lived through the changes.
        agent_name: Registered name of the agent.
        seed: Seed of the run.
        evaluation: Number of sessions, their seed and split.
        sessions: Rules of the sessions and the device to roll out on.
        launch_response: Checkpoint of a response model of what is known at launch; None leaves
            its reference out.
        truth: The true users, rows by canonical index; None when nobody knows them.
        reference_records: Where sessions of references are kept between evaluations.

    Yields:
        The launch, then each change.

    Raises:
        UserError: A policy is missing, or is of another agent, schedule or regime.
    """
    info, users = users_as_read(world.data.info, world.data.users, simulators["eval"])
    world = replace(world, data=replace(world.data, info=info, users=users))
    data = world.data
    models = {
        name: build_response_model(dict(checkpoint), sessions.device)
        for name, checkpoint in simulators.items()
    }
    same = None
    if launch_response is not None:
        same = build_response_model(dict(launch_response), sessions.device)
    setting = EvaluationSetting(
        pool=data.judged_pool(models["eval"], evaluation.split, sessions.session),
        sessions=sessions,
        item_vectors=data.item_vectors,
        n_episodes=evaluation.n_episodes,
        seed=evaluation.seed,
        batch_size=evaluation.batch_size,
    )
    training_setting = replace(
        setting,
        pool=data.pool("train", sessions.session),
        n_episodes=min(evaluation.n_episodes, STATIC_SLATE_SESSIONS),
        seed=derive_seed(evaluation.seed, "evaluation.static_slate"),
    )
    facts: dict[str, Any] = {
        "sessions": sessions_version(info.version, evaluation, setting),
        "simulators": {name: checkpoint_version(made) for name, made in simulators.items()},
        "same_knowledge": launch_response and checkpoint_version(launch_response),
        "truth": truth and checkpoint_version(truth.to_checkpoint()),
        "launch": world.versions[0].version,
        "item_vectors": array_version(data.item_vectors),
        "n_episodes": setting.n_episodes,
        "batch_size": setting.batch_size,
        "device": sessions.device.type,
        "code": code_version(),
    }
    references = _References(
        world, models["train"], same, training_setting, training_clicks(
            world.known_at_launch.log, info.n_items
        ),
    )
    restore = _Restorer(world, agent_name, seed, sessions)
    names = [n for n in LIVE_REFERENCES if same is not None or n != "greedy_same_knowledge"]
    for change, catalogue in enumerate(world.versions):
        kept = KeptRollouts(
            reference_records,
            [f"moving-{name}" for name in names],
            {**facts, "catalogue": catalogue.version, "change": change},
        )
        costs: list[ChangeCost] = []
        makers: dict[str, Callable[[], Policy]] = {
            f"moving-{name}": partial(references.get, change, name) for name in names
        }
        points: dict[str, tuple[Mode, Point]] = {}
        for mode, (timetable, snapshots) in lives.items():
            for point in timetable.points:
                if point.change == change:
                    key = f"{mode} {point.path} {point.updates}"
                    points[key] = (mode, point)
                    makers[key] = cache(
                        partial(restore.policy, timetable, snapshots, point, costs)
                    )
        records = roll_out(makers, models, replace(setting, catalogue=catalogue), kept)
        if truth is not None:
            blindfolded: dict[str, Callable[[], Policy]] = {
                key: partial(_blindfold, make) for key, make in makers.items()
            }
            pool = identify_users(setting.pool)
            records |= roll_out(
                blindfolded,
                {"truth": TrueResponse(truth, sessions.device)},
                replace(setting, pool=pool, catalogue=catalogue),
                kept,
            )
        yield Judged(
            change,
            catalogue,
            {
                (key.removeprefix("moving-"), simulator): found
                for (key, simulator), found in records.items()
                if key not in points
            },
            {
                (*points[key], simulator): found
                for (key, simulator), found in records.items()
                if key in points
            },
            costs[0] if costs else None,
            facts["sessions"],
        )


def _blindfold(make: Callable[[], Policy]) -> Policy:
    return Blindfolded(make())


class _References:
    """The policies that do not learn, made for one version at a time, when one is needed."""

    def __init__(
        self,
        world: MovingWorld,
        full_knowledge: UserResponseModel,
        same_knowledge: UserResponseModel | None,
        training_setting: EvaluationSetting,
        clicks: NDArray[np.int64],
    ) -> None:
        self._world = world
        self._full_knowledge, self._same_knowledge = full_knowledge, same_knowledge
        self._setting = training_setting
        self._clicks = clicks
        self._launch_order: ItemScorePolicy | None = None
        self._made: tuple[int, dict[str, Policy]] = (-1, {})

    def get(self, change: int, name: str) -> Policy:
        """Return a reference under the catalogue after a change."""
        if self._made[0] != change:
            setting = replace(self._setting, catalogue=self._world.versions[change])
            made = live_references(
                self._full_knowledge,
                self._clicks,
                self._world.versions[0],
                self._order_of_launch(),
                setting,
                same_knowledge=self._same_knowledge,
            )
            self._made = (change, {policy.name: policy for policy in made})
        return self._made[1][name]

    def _order_of_launch(self) -> ItemScorePolicy:
        if self._launch_order is None:
            launch = self._world.versions[0]
            self._launch_order = fit_static_slate(
                self._full_knowledge,
                live_selector(self._setting.sessions, launch),
                replace(self._setting, catalogue=launch),
            )
        return self._launch_order


class _Restorer:
    """Brings kept policies back under the version they are judged under."""

    def __init__(
        self, world: MovingWorld, agent_name: str, seed: int, sessions: SessionSetting
    ) -> None:
        self._world = world
        self._agent_name = agent_name
        self._regime = sessions.candidates.regime
        self._context = agent_context(world.data, sessions, seed)

    def policy(
        self,
        timetable: Timetable,
        snapshots: PolicySnapshots,
        point: Point,
        costs: list[ChangeCost],
    ) -> Policy:
        """Return the policy of a point; what a frozen one's last change cost goes to ``costs``."""
        kept = snapshots.load(point.at)
        self._refuse_other(kept["config"])
        versions = self._world.versions
        under = timetable.trained_under(point.at)
        agent = restore_policy(kept, self._context, versions[under])
        seconds = 0.0
        for later in versions[under + 1 : point.change + 1]:
            start = time.process_time()
            agent.set_catalogue(later)
            seconds = time.process_time() - start
        if point.path == "frozen" and point.change:
            state = agent.policy_state().values()
            costs.append(
                ChangeCost(
                    point.change,
                    versions[point.change].version,
                    seconds,
                    _published_bytes(versions[point.change - 1], versions[point.change]),
                    sum(tensor.numel() * tensor.element_size() for tensor in state),
                )
            )
        return agent

    def _refuse_other(self, config: Mapping[str, Any]) -> None:
        expected = {
            "agent": self._agent_name,
            "regime": self._regime,
            "dataset_version": self._world.data.info.version,
            "codebook_version": self._world.data.codebook.version,
            "catalogue_schedule_version": self._world.schedule.version,
        }
        differing = [
            f"{name} {config.get(name)} instead of {value}"
            for name, value in expected.items()
            if config.get(name) != value
        ]
        if differing:
            raise UserError(
                f"The trained policy is of another run: {', '.join(differing)}",
                where=f"policy of agent {config.get('agent')}",
                remedy="Run first: kedro run --pipeline moving_training with the same options.",
            )


def _published_bytes(before: LiveCatalogue, after: LiveCatalogue) -> int:
    new = after.published & ~before.published
    return int(after.item_vectors[new].nbytes + after.codes[new].nbytes)
