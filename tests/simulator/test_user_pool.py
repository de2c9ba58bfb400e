from dataclasses import replace

import numpy as np
import pytest
import torch

from hsrl_pipeline.config.session import SessionConfig
from hsrl_pipeline.data.slate_log import SlateLog, UserTable
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.simulator.user_pool import UserPool


def make_log():
    """Two users: user 1 liked 5, 6, 7 before its slates (ends 0, 1, 3), user 2 liked 8."""
    rows = 4
    return SlateLog(
        slates=np.arange(1, 1 + 2 * rows, dtype=np.int32).reshape(rows, 2),
        labels=np.zeros((rows, 2), np.int8),
        users=np.array([1, 1, 1, 2], np.int32),
        timestamps=np.arange(rows, dtype=np.int64),
        is_train=np.array([True, True, False, False]),
        history_start=np.array([0, 0, 0, 3]),
        history_end=np.array([0, 1, 3, 4]),
        timeline=np.array([5, 6, 7, 8], np.int32),
    )


def make_users(dense=((0.0,), (0.5,), (-0.5,))):
    return UserTable(
        categories=np.array([[0], [3], [4]]),
        dense=np.array(dense, np.float32),
        category_sizes=(5,),
    )


def test_first_observation_is_the_user_and_the_history_before_the_slate():
    pool = UserPool.from_log(make_log(), make_users(), history_size=2)
    observation = pool.observation(torch.tensor([0, 1, 2, 3, 2]))
    assert len(pool) == 4
    assert observation.history.tolist() == [[0, 0], [0, 5], [6, 7], [0, 8], [6, 7]]
    assert observation.user_categories.tolist() == [[3], [3], [3], [4], [3]]
    assert observation.user_dense[:, 0].tolist() == [0.5, 0.5, 0.5, -0.5, 0.5]
    assert observation.step.tolist() == [0] * 5
    assert observation.history.dtype == torch.int64


def test_histories_equal_those_of_the_log():
    log = make_log()
    pool = UserPool.from_log(log, make_users(), history_size=3)
    rows = np.arange(len(log))
    assert pool.histories(torch.from_numpy(rows)).tolist() == log.histories(rows, 3).tolist()


def test_the_log_is_shared_and_not_copied():
    log = make_log()
    pool = UserPool.from_log(log, make_users(), history_size=50)
    assert pool.timeline.data_ptr() == log.timeline.ctypes.data
    assert pool.history_end.data_ptr() == log.history_end.ctypes.data


def test_rows_given_directly_come_back():
    histories = torch.tensor([[0, 0, 4], [1, 2, 3], [0, 0, 0]])
    categories = torch.tensor([[1], [2], [3]])
    pool = UserPool.from_rows(categories, torch.zeros(3, 0), histories)
    observation = pool.observation(torch.arange(3))
    assert torch.equal(observation.history, histories)
    assert torch.equal(observation.user_categories, categories)


def test_a_pool_without_any_history_pads():
    pool = UserPool.from_rows(torch.ones(1, 1).long(), torch.zeros(1, 0), torch.zeros(1, 4).long())
    assert pool.histories(torch.tensor([0, 0])).tolist() == [[0] * 4] * 2


def test_an_empty_pool_is_refused():
    with pytest.raises(UserError, match="pool is empty"):
        UserPool.from_log(make_log().select(np.zeros(4, bool)), make_users(), 5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_feature_that_is_not_finite_is_refused_with_its_user(bad):
    with pytest.raises(UserError, match="feature 0 of user 2"):
        UserPool.from_log(make_log(), make_users(((0.0,), (0.5,), (bad,))), 5)


def test_an_unknown_user_or_item_is_refused_with_its_row():
    with pytest.raises(ValueError, match=r"users\[3\] is 2"):
        UserPool.from_log(
            make_log(), UserTable(np.zeros((2, 0), np.int64), np.zeros((2, 0), np.float32), ()), 5
        )
    negative = replace(make_log(), users=np.array([1, -1, 1, 2], np.int32))
    with pytest.raises(ValueError, match=r"users\[1\] is -1"):
        UserPool.from_log(negative, make_users(), 5)
    pool = UserPool.from_log(make_log(), make_users(), 5)
    pool.check_items(8)
    with pytest.raises(ValueError, match=r"timeline\[3\] is 8"):
        pool.check_items(7)


def make_shown_log():
    """User 1 was shown (1, 2), (3, 4) and (5, 6), user 2 (7, 8) after a click on 8."""
    log = make_log()
    return replace(
        log,
        labels=np.array([[1, 0], [0, 1], [0, 0], [1, 0]], np.int8),
        history_start=np.array([0, 0, 0, 2]),
        history_end=np.array([0, 1, 2, 3]),
        timeline=np.array([1, 4, 8, 7], np.int32),
    ).with_shown()


def test_with_responses_the_history_holds_all_that_was_shown():
    pool = UserPool.from_log(make_shown_log(), make_users(), 3, "responses")
    rows = torch.arange(4)
    observation = pool.observation(rows)
    assert observation.history.tolist() == [[0, 0, 0], [0, 1, 2], [2, 3, 4], [0, 0, 8]]
    assert observation.responses.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]
    assert observation.responses.dtype == torch.int64
    assert pool.clicked(rows).tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 4], [0, 0, 8]]
    assert UserPool.from_log(make_log(), make_users(), 3).clicked(rows).shape == (4, 0)


def test_a_split_keeps_what_lies_before_its_slates_and_nothing_else():
    pool = UserPool.from_log(make_shown_log().test, make_users(), 50, "responses")
    history = pool.observation(torch.arange(2)).history
    assert history[0, -4:].tolist() == [1, 2, 3, 4] and int(history[0, :-4].max()) == 0
    assert history[1, -1:].tolist() == [8] and int(history[1, :-1].max()) == 0


def test_a_pool_of_another_form_or_size_than_the_session_is_refused():
    pool = UserPool.from_log(make_shown_log(), make_users(), 3, "responses")
    pool.check_history(SessionConfig(history_size=3, history="responses"))
    with pytest.raises(ValueError, match=r"shows responses, session\.history is clicks"):
        pool.check_history(SessionConfig(history_size=3))
    with pytest.raises(ValueError, match="cuts histories of 3 items"):
        pool.check_history(SessionConfig(history="responses"))
    with pytest.raises(ValueError, match="no timeline of shown items"):
        UserPool.from_log(make_log(), make_users(), 3, "responses")


def test_numbers_for_another_pool_are_refused():
    pool = UserPool.from_log(make_log(), make_users(), 3)
    with pytest.raises(ValueError, match=r"numbers has shape \(3,\), expected \(4\)"):
        replace(pool, numbers=torch.arange(3))
