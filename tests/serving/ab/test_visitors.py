"""What simulated users ask of a server and do with its answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsrl_pipeline.agents.base import Action
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting, evaluate_policy
from hsrl_pipeline.evaluation.session_records import SessionRecords
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.serving import Recommender, RecommendRequest, ServedModel
from hsrl_pipeline.serving.ab.visitors import Visit, Visitors

from ..small_model import IDS, small_model
from .small_test import small_visitors


class AsAtTheStart:
    """A policy that is never told how far a session is, as one behind the server."""

    name = "served"

    def __init__(self, model: ServedModel) -> None:
        self._policy = model.restore()

    def act(self, observation: Observation, **options: object) -> Action:
        told = observation._replace(step=torch.zeros_like(observation.step))
        return self._policy.act(told, **options)


def rollouts(model: ServedModel, visitors: Visitors, n_sessions: int) -> SessionRecords:
    """Return the sessions as the offline evaluation plays them."""
    setting = EvaluationSetting(
        pool=visitors.pool,
        sessions=visitors.setting,
        item_vectors=model.launch.item_vectors,
        n_episodes=n_sessions,
        seed=visitors.seed,
        catalogue=model.catalogue,
    )
    return evaluate_policy(AsAtTheStart(model), visitors.judge, setting)


def played(recommender: Recommender, visitors: Visitors, n_sessions: int) -> list[Visit]:
    visits = playing = [visitors.begin(number, "A") for number in range(n_sessions)]
    while playing:
        for visit in playing:
            body = visitors.request(visit)
            del body["user_id"]
            visit.answer = {"items": recommender.recommend(RecommendRequest(**body)).items}
        playing = visitors.react(playing)
    return visits


@pytest.mark.parametrize("exclude_shown", [False, True])
def test_sessions_are_those_of_the_offline_evaluation(exclude_shown: bool) -> None:
    model, visitors = small_model(), small_visitors(exclude_shown=exclude_shown)
    visits = played(Recommender(model), visitors, 90)
    records = rollouts(model, visitors, 90)
    np.testing.assert_allclose([visit.total_reward for visit in visits], records.total_reward)
    assert [visit.depth for visit in visits] == records.depth.tolist()
    assert [visit.clicks for visit in visits] == records.clicks.tolist()
    assert len(set(records.depth.tolist())) > 1


def test_policies_are_told_of_skips_where_they_read_them() -> None:
    model, visitors = small_model(history="responses"), small_visitors(history="responses")
    bodies = [visitors.request(visitors.begin(number, "A")) for number in range(60)]
    told = [body for body in bodies if "history" in body]
    assert all(body["responses"] == [0, 1, 0, 1][-len(body["history"]) :] for body in told)
    assert all(body["history"][-2] == IDS[12] for body in told)
    assert 30 < len(told) < 60
    visits = played(Recommender(model), visitors, 60)
    records = rollouts(model, visitors, 60)
    np.testing.assert_allclose([visit.total_reward for visit in visits], records.total_reward)


def test_a_request_speaks_of_the_user_in_own_ids_and_names() -> None:
    visitors = small_visitors(exclude_shown=True)
    visits = [visitors.begin(number, "A") for number in range(64)]
    rows = {visit.user_id: visitors.request(visit) for visit in visits}
    # row 0 of the pool is user 1: no category, age one deviation below the mean, nobody's history
    assert rows["user 1"] == {"user": {"age": 30.0}, "user_id": "user 1", "n": 2}
    second = rows["user 2"]
    assert second["user"] == {"country": "NL", "age": pytest.approx(30.0 + 20 / 19)}
    assert second["history"] == [
        IDS[item] for item in visitors.pool.histories(torch.tensor([1]))[0, 2:]
    ]


def test_shown_items_are_excluded_and_clicked_ones_join_the_history() -> None:
    visitors = small_visitors(exclude_shown=True)
    visit = visitors.begin(0, "A")
    before = visitors.request(visit).get("history", [])
    visit.answer = {"items": [IDS[1], IDS[12]]}
    visitors.react([visit])
    after = visitors.request(visit)
    assert set(after["exclude"]) == {IDS[1], IDS[12]}
    assert after["history"] == [*before, *visit.clicked][-4:]
    assert visit.clicks == len(visit.clicked)


def test_visits_depend_on_seed_and_number_alone() -> None:
    one, again, other = small_visitors(), small_visitors(), small_visitors(seed=4)
    draws = [visitors.begin(7, "B").uniforms for visitors in (one, again, other)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
