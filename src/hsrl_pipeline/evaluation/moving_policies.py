"""The policies to judge under a version of a moving catalogue: references and kept ones."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.agents.base import Policy
from hsrl_pipeline.agents.follows_clicks import FollowsClicks
from hsrl_pipeline.agents.policy_checkpoint import agent_context, restore_policy
from hsrl_pipeline.agents.policy_snapshots import PolicySnapshots
from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.catalogue.timetable import Point, Timetable
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.evaluation.live_references import live_references, live_selector
from hsrl_pipeline.evaluation.references import ItemScorePolicy, RandomPolicy, fit_static_slate
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting, evaluate_policy
from hsrl_pipeline.evaluation.serving_sessions import ServingSessions
from hsrl_pipeline.seeding import derive_seed
from hsrl_pipeline.simulator.moving_world import MovingWorld
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.session_setting import SessionSetting


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


class ReferencesOfChange:
    """The policies that do not learn, made for one version at a time, when one is needed.

    Args:
        world: Versions of the catalogue.
        full_knowledge: The training simulator.
        same_knowledge: A response model of what is known at launch; None leaves its reference out.
        training_setting: Sessions of training users, for fitting static slates and for what
            ``popular`` counts.
        clicks: (item,) int64. Training clicks of each item, as they are known at launch.
        fit_best_now: Whether a static slate is fitted under every version.
    """

    def __init__(
        self,
        world: MovingWorld,
        full_knowledge: UserResponseModel,
        same_knowledge: UserResponseModel | None,
        training_setting: EvaluationSetting,
        clicks: NDArray[np.int64],
        *,
        fit_best_now: bool,
    ) -> None:
        self._world = world
        self._fit_best_now = fit_best_now
        self._full_knowledge, self._same_knowledge = full_knowledge, same_knowledge
        self._setting = training_setting
        self._clicks = [clicks]
        self._launch_order: ItemScorePolicy | None = None
        self._made: tuple[int, dict[str, Policy]] = (-1, {})

    def get(self, change: int, name: str) -> Policy:
        """Return a reference under the catalogue after a change."""
        if self._made[0] != change:
            setting = replace(self._setting, catalogue=self._world.versions[change])
            made = live_references(
                self._full_knowledge,
                self._clicks_before(change),
                self._world.versions[0],
                self._order_of_launch(),
                setting,
                same_knowledge=self._same_knowledge,
                fit_best_now=self._fit_best_now,
            )
            self._made = (change, {policy.name: policy for policy in made})
        return self._made[1][name]

    def _clicks_before(self, change: int) -> NDArray[np.int64]:
        """Return (item,) int64, clicks of the log and of sessions under all earlier versions.

        These sessions show live items at random, so that new items are counted too.
        """
        while len(self._clicks) <= change:
            earlier = len(self._clicks) - 1
            catalogue = self._world.versions[earlier]
            seed = derive_seed(self._setting.seed, f"evaluation.counted.{earlier}")
            sessions = self._setting.sessions
            shown_at_random = RandomPolicy(live_selector(sessions, catalogue), sessions.n_items)
            records = evaluate_policy(
                shown_at_random,
                self._full_knowledge,
                replace(self._setting, catalogue=catalogue, seed=seed),
            )
            self._clicks.append(self._clicks[-1] + records.item_clicks)
        return self._clicks[change]

    def _order_of_launch(self) -> ItemScorePolicy:
        if self._launch_order is None:
            launch = self._world.versions[0]
            self._launch_order = fit_static_slate(
                self._full_knowledge,
                live_selector(self._setting.sessions, launch),
                replace(self._setting, catalogue=launch),
            )
        return self._launch_order


class PolicyRestorer:
    """Brings kept policies back under the version they are judged under.

    Args:
        world: Data and versions of the catalogue.
        agent_name: Registered name of the agent.
        seed: Seed of the run.
        sessions: Rules of the sessions and the device to act on.
        serving: What a policy without updates serves under each version before the next one
            comes, if it follows clicks; None for nothing.
    """

    def __init__(
        self,
        world: MovingWorld,
        agent_name: str,
        seed: int,
        sessions: SessionSetting,
        serving: ServingSessions | None = None,
    ) -> None:
        self._world = world
        self._serving = serving
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
        for change in range(under, point.change):
            serving = self._serving if point.path == "frozen" else None
            if serving and isinstance(agent, FollowsClicks) and agent.follows_clicks:
                serving.serve(agent, versions[change], change)
            start = time.process_time()
            agent.set_catalogue(versions[change + 1])
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
