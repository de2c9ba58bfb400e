"""Policies judged under every version of a catalogue that moves, in common sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Literal

from hsrl_pipeline.agents.base import Policy
from hsrl_pipeline.agents.policy_snapshots import PolicySnapshots
from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.catalogue.timetable import Mode, Point, Timetable
from hsrl_pipeline.config.catalogue import UPPER_REFERENCE
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.data.synthetic_truth import SyntheticTruth
from hsrl_pipeline.evaluation.kept_rollouts import (
    NOTHING_KEPT,
    KeptRollouts,
    ReferenceRecords,
    roll_out,
)
from hsrl_pipeline.evaluation.moving_policies import (
    ChangeCost,
    PolicyRestorer,
    ReferencesOfChange,
)
from hsrl_pipeline.evaluation.policy_evaluation import STATIC_SLATE_SESSIONS
from hsrl_pipeline.evaluation.references import training_clicks
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting
from hsrl_pipeline.evaluation.serving_sessions import ServingSessions
from hsrl_pipeline.evaluation.session_draws import SessionDraws
from hsrl_pipeline.evaluation.session_records import SessionRecords
from hsrl_pipeline.evaluation.truth_check import Blindfolded, TrueResponse, identify_users
from hsrl_pipeline.evaluation.versions import array_version, code_version, sessions_version
from hsrl_pipeline.provenance import checkpoint_version
from hsrl_pipeline.seeding import derive_seed
from hsrl_pipeline.simulator.moving_world import MovingWorld
from hsrl_pipeline.simulator.newcomers import introduce
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.response.checkpoint import build_response_model
from hsrl_pipeline.simulator.response.user_identity import users_as_read
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.user_pool import UserPool

SAME = "same_knowledge"
"""The response model of what is known at launch, among the simulators."""

FEW_REFERENCES = ("random", "popular", "static_slate", UPPER_REFERENCE)

ALL_REFERENCES = (*FEW_REFERENCES, "static_slate_full_knowledge", "greedy_same_knowledge")


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
    references: Literal["all", "few"] = "all",
    served_slates: int = 0,
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
        references: Which policies that do not learn are rolled out.
        served_slates: Slates that a policy without updates serves under each version before the
            next one comes, if it follows clicks.
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
    if launch_response is not None:
        models[SAME] = build_response_model(dict(launch_response), sessions.device)
    training_pool = data.pool("train", sessions.session)
    serving = None
    if served_slates:
        serving = ServingSessions(
            models["train"], training_pool, sessions, n_slates=served_slates, seed=evaluation.seed
        )
    pool = data.judged_pool(models["eval"], evaluation.split, sessions.session)
    if evaluation.infer_tastes:
        models, pool = _introduced(world, models, pool, evaluation, sessions)
    same = models.pop(SAME, None)
    setting = EvaluationSetting(
        pool=pool,
        sessions=sessions,
        item_vectors=data.item_vectors,
        n_episodes=evaluation.n_episodes,
        seed=evaluation.seed,
        batch_size=evaluation.batch_size,
    )
    training_setting = replace(
        setting,
        pool=training_pool,
        n_episodes=min(evaluation.n_episodes, STATIC_SLATE_SESSIONS),
        seed=derive_seed(evaluation.seed, "evaluation.static_slate"),
    )
    facts: dict[str, Any] = {
        "sessions": sessions_version(info.version, evaluation, setting),
        "simulators": {name: checkpoint_version(fitted) for name, fitted in simulators.items()},
        "same_knowledge": launch_response and checkpoint_version(launch_response),
        "truth": truth and checkpoint_version(truth.to_checkpoint()),
        "launch": world.versions[0].version,
        "item_vectors": array_version(data.item_vectors),
        "n_episodes": setting.n_episodes,
        "batch_size": setting.batch_size,
        "device": sessions.device.type,
        "code": code_version(),
    }
    every = references == "all"
    clicks = training_clicks(world.known_at_launch.log, info.n_items)
    made = ReferencesOfChange(
        world, models["train"], same, training_setting, clicks, fit_best_now=every
    )
    restore = PolicyRestorer(world, agent_name, seed, sessions, serving)
    names = [
        name
        for name in (ALL_REFERENCES if every else FEW_REFERENCES)
        if same is not None or name != "greedy_same_knowledge"
    ]
    for change, catalogue in enumerate(world.versions):
        kept = KeptRollouts(
            reference_records,
            [f"moving-{name}" for name in names],
            {**facts, "versions": [known.version for known in world.versions[: change + 1]]},
        )
        costs: list[ChangeCost] = []
        makers: dict[str, Callable[[], Policy]] = {
            f"moving-{name}": partial(made.get, change, name) for name in names
        }
        points: dict[str, tuple[Mode, Point]] = {}
        for mode, (timetable, snapshots) in lives.items():
            for point in timetable.points:
                if point.change == change:
                    key = f"{mode} {point.path} {point.updates}"
                    points[key] = (mode, point)
                    makers[key] = cache(partial(restore.policy, timetable, snapshots, point, costs))
        records = roll_out(makers, models, replace(setting, catalogue=catalogue), kept)
        if truth is not None:
            blindfolded: dict[str, Callable[[], Policy]] = {
                key: partial(_blindfold, make) for key, make in makers.items()
            }
            identified = identify_users(setting.pool)
            records |= roll_out(
                blindfolded,
                {"truth": TrueResponse(truth, sessions.device)},
                replace(setting, pool=identified, catalogue=catalogue),
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


def _introduced(
    world: MovingWorld,
    models: dict[str, UserResponseModel],
    pool: UserPool,
    evaluation: EvaluationConfig,
    sessions: SessionSetting,
) -> tuple[dict[str, UserResponseModel], UserPool]:
    """Let models infer the tastes of users they do not know, each from what it may know."""
    before = world.data.answers_before(models["eval"], evaluation.split)
    draws = SessionDraws(evaluation.seed, len(pool), sessions.session.horizon, sessions.slate_size)
    starts = draws.starts(evaluation.n_episodes)
    introduced, known_pool = introduce(models, pool, before, starts)
    if SAME in models:
        known = replace(before, log=world.known_at_launch.log)
        introduced[SAME] = introduce(models, pool, known, starts)[0][SAME]
    return introduced, known_pool


def _blindfold(make: Callable[[], Policy]) -> Policy:
    return Blindfolded(make())
