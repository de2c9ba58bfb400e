"""Sessions under a catalogue that moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsrl_pipeline.catalogue import LiveCatalogue
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.simulator.event_histories import ShownHistories, drop_unpublished
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.simulator.user_pool import UserPool

N_ITEMS, SLATE, HISTORY = 8, 2, 3


def catalogue(live: list[int], published: list[int] | None = None) -> LiveCatalogue:
    codes = np.full((N_ITEMS + 1, 1), -1)
    codes[published or live] = 0
    mask = np.zeros(N_ITEMS + 1, bool)
    mask[live] = True
    return LiveCatalogue(mask, np.zeros((N_ITEMS + 1, 2), np.float32), codes)


class Remembers:
    """Clicks nothing, and keeps the histories that users went by."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def probabilities(self, observation, slates):
        self.asked = observation.history.tolist()
        return torch.zeros(slates.shape)


class ClicksAll:
    def probabilities(self, observation, slates):
        return torch.ones(slates.shape)


def make_sessions(response=None, *, horizon=20, exclude_shown=False, rows=1, shelves=None):
    histories = torch.tensor([[6, 2, 3]]).repeat(rows, 1)
    pool = UserPool.from_rows(torch.ones(rows, 1).long(), torch.zeros(rows, 0), histories)
    setting = SessionSetting(
        session=SessionConfig(horizon=horizon, history_size=HISTORY, initial_patience=100.0),
        reward=RewardConfig(),
        candidates=CandidatesConfig(
            exclude_shown=exclude_shown, enforce_shelves=shelves is not None
        ),
        slate_size=SLATE,
        n_items=N_ITEMS,
        shelves=shelves,
    )
    return SlateSessions(response or Remembers(), pool, setting, batch_size=2, seed=0)


def test_slates_hold_live_items_alone_and_the_set_may_change_between_steps() -> None:
    sessions = make_sessions()
    sessions.set_catalogue(catalogue([1, 2, 3, 4]))
    sessions.step(torch.tensor([[1, 2], [3, 4]]))
    message = r"slates\[1, 0\] is 5, which is not live in this version of the catalogue"
    with pytest.raises(ValueError, match=message):
        sessions.step(torch.tensor([[1, 2], [5, 4]]))
    sessions.set_catalogue(catalogue([1, 2, 5, 4], [1, 2, 3, 4, 5]))
    sessions.step(torch.tensor([[1, 2], [5, 4]]))
    with pytest.raises(ValueError, match=r"slates\[0, 1\] is 3, which is not live"):
        sessions.step(torch.tensor([[1, 3], [5, 4]]))


@pytest.mark.parametrize(
    ("options", "live", "message"),
    [
        ({}, [4], "A slate takes 2 different items from a set of 1 live"),
        (
            {"exclude_shown": True, "horizon": 3},
            [1, 2, 3, 4, 5],
            "A session can take 6 different items from a set of 5 live",
        ),
        (
            {"shelves": np.array([0, 1, 1, 1, 1, 2, 2, 2, 2])},
            [1, 2, 3],
            "A slate takes 1 different items from a set of 0 live",
        ),
    ],
)
def test_too_few_live_items_are_refused_and_nothing_changes(options, live, message) -> None:
    sessions = make_sessions(**options)
    with pytest.raises(UserError, match=message):
        sessions.set_catalogue(catalogue(live))
    assert sessions.catalogue_version is None
    sessions.step(torch.tensor([[4, 8], [4, 8]]))


def test_policies_never_see_unpublished_items_and_users_still_go_by_them() -> None:
    response = Remembers()
    sessions = make_sessions(response, horizon=2)
    sessions.set_catalogue(catalogue([1, 2, 4], [1, 2, 3, 4]))
    # item 6 is unknown, item 3 was released and is known
    assert sessions.observation.history.tolist() == [[0, 2, 3]] * 2
    sessions.step(torch.tensor([[1, 2], [1, 2]]))
    assert response.asked == [[6, 2, 3]] * 2
    sessions.step(torch.tensor([[1, 2], [1, 2]]))
    assert sessions.observation.history.tolist() == [[0, 2, 3]] * 2
    sessions.set_catalogue(catalogue([1, 6], [1, 2, 3, 4, 6]))
    sessions.reset(1)
    assert sessions.observation.history.tolist() == [[6, 2, 3]] * 2


def test_clicks_enter_both_views() -> None:
    sessions = make_sessions(ClicksAll())
    sessions.set_catalogue(catalogue([1, 2], [1, 2, 3]))
    sessions.step(torch.tensor([[1, 2], [2, 1]]))
    assert sessions.observation.history.tolist() == [[3, 1, 2], [3, 2, 1]]


def test_a_catalogue_of_all_items_changes_no_bit() -> None:
    plain, moving = make_sessions(ClicksAll()), make_sessions(ClicksAll())
    moving.set_catalogue(catalogue(list(range(1, N_ITEMS + 1))))
    slates = torch.tensor([[1, 2], [3, 4]])
    for _ in range(3):
        first, second = plain.step(slates), moving.step(slates)
        assert all(
            torch.equal(*pair) for pair in zip(first.observation, second.observation, strict=True)
        )
    states = [sessions.state_dict() for sessions in (plain, moving)]
    states[1].pop("catalogue_version")
    assert states[0].keys() == states[1].keys()


def test_sessions_resume_under_their_version_alone() -> None:
    first, second = make_sessions(horizon=2), make_sessions(horizon=2)
    everything = catalogue(list(range(1, N_ITEMS + 1)))
    first.set_catalogue(catalogue([1, 2, 4], [1, 2, 3, 4]))
    first.set_catalogue(everything)
    with pytest.raises(ValueError, match=f"catalogue version {everything.version}, None is set"):
        second.load_state_dict(first.state_dict())
    second.set_catalogue(everything)
    second.load_state_dict(first.state_dict())
    for _ in range(3):
        results = [one.step(torch.tensor([[1, 2], [4, 1]])) for one in (first, second)]
        assert torch.equal(results[0].observation.history, results[1].observation.history)


def test_items_unknown_before_a_break_are_unknown_after_it() -> None:
    first, second = make_sessions(), make_sessions()
    for sessions in (first, second):
        sessions.set_catalogue(catalogue([1, 2, 4], [1, 2, 3, 4]))
    second.load_state_dict(first.state_dict())
    second.reset(1)
    assert second.observation.history.tolist() == [[0, 2, 3]] * 2


def test_a_break_parts_no_views_that_were_one() -> None:
    first, second = make_sessions(), make_sessions()
    second.load_state_dict(first.state_dict())
    second.reset(1)
    assert second.state_dict().keys() == first.state_dict().keys()


def test_windows_reach_further_back_where_unpublished_events_are_left_out() -> None:
    events = ShownHistories(
        torch.tensor([1, -2, 3, 4, 5]), torch.tensor([0, 3]), torch.tensor([3, 5])
    )
    kept = events.keep(torch.tensor([False, True, False, True, True, False]))
    assert kept.latest(torch.tensor([0, 1]), 2).tolist() == [[1, 3], [0, 4]]
    assert events.latest(torch.tensor([0]), 2).tolist() == [[-2, 3]]


def test_responses_leave_with_their_items() -> None:
    history, responses = drop_unpublished(
        torch.tensor([[0, 2, 1, 3]]),
        torch.tensor([[0, 1, 1, 0]]),
        torch.tensor([False, False, True, True]),
    )
    assert history.tolist() == [[0, 0, 2, 3]] and responses.tolist() == [[0, 0, 1, 0]]
