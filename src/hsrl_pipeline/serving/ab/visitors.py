"""Simulated users as clients of the server: what they ask, what they click, when they leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from hsrl_pipeline.evaluation.rollouts import as_known_to
from hsrl_pipeline.evaluation.session_draws import SessionDraws
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.serving.ab.assignment import Arm
from hsrl_pipeline.serving.user_features import UserEncoder
from hsrl_pipeline.shapes import PAD_ID
from hsrl_pipeline.simulator.click_draws import draw_clicks
from hsrl_pipeline.simulator.dynamics import SessionState
from hsrl_pipeline.simulator.response.protocol import Response
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.user_pool import UserPool


@dataclass(eq=False)
class Visit:
    """One session from its first request on.

    Attributes:
        number: Place in the order in which sessions began, from 0.
        arm: Arm that answers all its requests.
        user_id: Who visits, in the user's own id.
        state: (1, ...) What the simulated user is at.
        number_of_user: (1,) int64. What tells the judge who visits.
        uniforms: (horizon, slate) float32. An item is clicked when its draw is below its chance.
        total_reward: Sum of the rewards so far.
        depth: Answered requests so far.
        clicks: Clicked items so far.
        seconds: Time of each request for recommendations.
        released_slots: Shown items that were released before the request was made.
        failure: Why the visit ended early; empty where nothing failed.
        failed_feedback: Calls of ``/feedback`` that failed.
        answer: Items and request id of the latest answer.
        clicked: Clicked items of that answer, in the user's own ids.
    """

    number: int
    arm: Arm
    user_id: str
    state: SessionState
    number_of_user: torch.Tensor
    uniforms: torch.Tensor
    total_reward: float = 0.0
    depth: int = 0
    clicks: int = 0
    seconds: list[float] = field(default_factory=list)
    released_slots: int = 0
    failure: str = ""
    failed_feedback: int = 0
    answer: dict[str, Any] = field(default_factory=dict)
    clicked: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Visitors:
    """Simulated users of a project, who speak in the user's own ids and feature names.

    Who comes in visit ``e`` and the draws of the clicks depend on the seed and ``e`` alone.

    Attributes:
        judge: Gives click probabilities, in evaluation mode.
        pool: Users that sessions start with.
        setting: Rules and sizes of the sessions.
        item_ids: (item,) Own ids by item index; row 0 is empty.
        user_ids: (user,) Own ids by user index.
        features: Names of the user features.
        seed: Seed of the users and of the click draws.
    """

    judge: Response
    pool: UserPool
    setting: SessionSetting
    item_ids: tuple[str, ...]
    user_ids: tuple[str, ...]
    features: UserEncoder
    seed: int = 0

    @cached_property
    def item_index(self) -> dict[str, int]:
        """Item index by own id."""
        return {text: index for index, text in enumerate(self.item_ids) if index}

    @cached_property
    def _draws(self) -> SessionDraws:
        sizes = self.setting.session.horizon, self.setting.slate_size
        return SessionDraws(self.seed, len(self.pool), *sizes)

    def begin(self, number: int, arm: Arm) -> Visit:
        """Return a visit before its first request.

        Args:
            number: Place in the order in which sessions begin, from 0.
            arm: Arm that will answer.
        """
        rows, uniforms = self._draws.episodes(number, number + 1)
        state = self.setting.session_rules().start(
            self.pool.observation(rows), self.pool.clicked(rows)
        )
        user = self.user_ids[int(self.pool.users[rows[0]])]
        return Visit(number, arm, user, state, self.pool.user_numbers(rows), uniforms[0])

    def request(self, visit: Visit) -> dict[str, Any]:
        """Return the body of the visit's next request for recommendations."""
        observation = visit.state.observation
        # where policies are told of skips, the history holds all that was shown
        told = observation if observation.responses.shape[1] else visit.state.simulator_view
        kept = told.history[0] != PAD_ID
        optional = {
            "history": self._ids(told.history[0]),
            "responses": told.responses[0, kept].tolist() if told.responses.shape[1] else [],
            "exclude": self._ids(observation.shown[0]),
        }
        return {
            "user": self.features.decode(
                observation.user_categories[0].tolist(), observation.user_dense[0].tolist()
            ),
            "user_id": visit.user_id,
            "n": self.setting.slate_size,
            **{name: values for name, values in optional.items() if values},
        }

    @torch.no_grad()
    def react(self, visits: Sequence[Visit]) -> list[Visit]:
        """Let users click in the slates that their latest answers hold.

        Args:
            visits: Each with a good answer.

        Returns:
            Those whose users stay.
        """
        if not visits:
            return []
        index = self.item_index
        slates = torch.tensor([[index[item] for item in visit.answer["items"]] for visit in visits])
        state = _joined([visit.state for visit in visits])
        numbers = torch.cat([visit.number_of_user for visit in visits])
        asked = as_known_to(self.judge, state.simulator_view, numbers)
        draws = torch.stack([visit.uniforms[visit.depth] for visit in visits])
        clicks = draw_clicks(self.judge.probabilities(asked, slates), draws)
        outcome = self.setting.session_rules().advance(state, slates, clicks)
        ended = (outcome.terminated | outcome.truncated).tolist()
        for row, visit in enumerate(visits):
            places = np.flatnonzero(clicks[row].numpy())
            visit.clicked = [visit.answer["items"][place] for place in places]
            visit.state = outcome.state.rows(torch.tensor([row]))
            visit.total_reward += float(outcome.reward[row])
            visit.depth += 1
            visit.clicks += len(places)
        return [visit for row, visit in enumerate(visits) if not ended[row]]

    def _ids(self, items: torch.Tensor) -> list[str]:
        return [self.item_ids[item] for item in items.tolist() if item != PAD_ID]


def _joined(states: Sequence[SessionState]) -> SessionState:
    """Return sessions of one row each as one batch."""
    observations = zip(*(state.observation for state in states), strict=True)
    return SessionState(
        Observation(*(torch.cat(fields) for fields in observations)),
        torch.cat([state.patience for state in states]),
        torch.cat([state.showings for state in states]),
        torch.cat([state.clicked for state in states]),
    )
