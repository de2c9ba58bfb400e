"""Sessions that start from people whose answers are recorded."""

import numpy as np
import pytest
import torch

from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.data.slate_log import SlateLog, UserTable
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.simulator.judge_pool import pool_for_judge
from hsrl_pipeline.simulator.response.constant import ConstantResponse
from hsrl_pipeline.simulator.response.recorded import RecordedResponse
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.slate_env import SlateSessions

N_ITEMS, SLATE, HISTORY = 12, 2, 3
ANSWERS = torch.zeros((2, N_ITEMS + 1), dtype=torch.int8)
ANSWERS[0, 1::2] = 1  # user 1 likes odd items, user 3 likes items up to 6
ANSWERS[1, 1:7] = 1
JUDGE = RecordedResponse(ANSWERS, torch.tensor([1, 3]), HISTORY).freeze()
USERS = UserTable(
    categories=np.array([[0], [1], [2], [3]]),
    dense=np.zeros((4, 0), np.float32),
    category_sizes=(4,),
)


def make_log():
    """One slate of each of the users 1, 2 and 3; the first item was liked."""
    return SlateLog(
        slates=np.array([[1, 2], [5, 6], [3, 8]], np.int32),
        labels=np.array([[1, 0]] * 3, np.int8),
        users=np.array([1, 2, 3], np.int32),
        timestamps=np.arange(3, dtype=np.int64),
        is_train=np.array([False, True, False]),
        history_start=np.array([0, 1, 2]),
        history_end=np.array([0, 1, 2]),
        timeline=np.array([1, 5, 3], np.int32),
    )


def make_sessions(*, exclude_shown=True, horizon=5):
    log = make_log()
    return SlateSessions(
        JUDGE,
        pool_for_judge(JUDGE, log.test, log, USERS, SessionConfig(history_size=HISTORY)),
        SessionSetting(
            session=SessionConfig(horizon=horizon, history_size=HISTORY, initial_patience=100.0),
            reward=RewardConfig(),
            candidates=CandidatesConfig(exclude_shown=exclude_shown),
            slate_size=SLATE,
            n_items=N_ITEMS,
        ),
        batch_size=6,
        seed=0,
    )


def test_one_start_per_person_with_all_that_is_known():
    log = make_log()
    pool = pool_for_judge(JUDGE, log.test, log, USERS, SessionConfig(history_size=HISTORY))
    first = pool.observation(torch.arange(2))
    assert pool.users.tolist() == [1, 3]
    assert first.user_categories.tolist() == [[1], [3]]
    assert first.history.tolist() == [[0, 0, 1], [0, 0, 3]]
    assert first.shown.tolist() == [[1, 2], [3, 8]]


def test_a_model_judges_sessions_of_the_split():
    log = make_log()
    model = ConstantResponse(0.5, N_ITEMS, HISTORY)
    pool = pool_for_judge(model, log.test, log, USERS, SessionConfig(history_size=HISTORY))
    assert pool.n_seen == 0
    assert pool.observation(torch.arange(2)).history.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_people_click_on_what_they_liked_and_the_number_stays_hidden():
    sessions = make_sessions()
    assert sessions.observation.user_dense.shape == (6, 0)
    for slate in ([4, 5], [6, 7], [9, 10]):
        users = sessions.users
        outcome = sessions.step(torch.tensor([slate] * 6))
        liked = torch.where(
            users[:, None] == 1, torch.tensor(slate) % 2 == 1, torch.tensor(slate) <= 6
        )
        assert outcome.clicks.tolist() == liked.float().tolist()
    assert set(sessions.users.tolist()) == {1, 3}


def test_what_was_known_before_is_not_shown_again():
    sessions = make_sessions()
    known = {1: [1, 2], 3: [3, 8]}
    for shown, user in zip(sessions.observation.shown, sessions.users.tolist(), strict=True):
        assert shown[shown > 0].tolist() == known[user]
    with pytest.raises(ValueError, match="was already shown in this session"):
        sessions.step(torch.tensor([[1, 3]] * 6))
    # the session's own items do not overwrite what was known
    shown = sessions.step(torch.tensor([[4, 5]] * 6)).observation.shown
    assert (shown > 0).sum(dim=1).tolist() == [4] * 6


def test_with_repeats_everything_may_be_shown():
    sessions = make_sessions(exclude_shown=False, horizon=50)
    assert sessions.observation.shown.shape == (6, 0)
    sessions.step(torch.tensor([[1, 3]] * 6))


def test_a_session_too_long_for_what_is_left_is_refused():
    with pytest.raises(UserError, match="12 different items from a set of 10"):
        make_sessions(horizon=6)


def test_policies_see_what_people_were_shown_in_vain_before_they_judge():
    log = make_log().with_shown()
    session = SessionConfig(history_size=HISTORY, history="responses")
    pool = pool_for_judge(JUDGE, log.test, log, USERS, session)
    first = pool.observation(torch.arange(2))
    assert first.history.tolist() == [[0, 1, 2], [0, 3, 8]]
    assert first.responses.tolist() == [[0, 1, 0], [0, 1, 0]]
    assert pool.clicked(torch.arange(2)).tolist() == [[0, 0, 1], [0, 0, 3]]
