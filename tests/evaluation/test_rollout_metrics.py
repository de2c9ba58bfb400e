import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.evaluation.rollout_metrics import (
    gini_index,
    long_tail_items,
    session_metrics,
    step_table,
    user_table,
)
from hsrl_pipeline.evaluation.session_records import SessionRecords

NAN = math.nan


def make_records():
    """Three sessions of 2, 1 and 3 steps with slates of 2; four items."""
    return SessionRecords(
        users=np.array([4, 9, 4]),
        rewards=np.array([[0.4, -0.2, NAN], [1.0, NAN, NAN], [0.4, 0.4, -0.2]]),
        clicks=np.array([1, 2, 2]),
        exposures=np.array([0, 6, 4, 2, 0]),
        item_clicks=np.array([0, 3, 2, 0, 0]),
        repeated=np.array([2, 0, 1]),
        similarity=np.array([0.5, 0.25, 0.75]),
        slate_size=2,
    )


def test_metrics_by_hand():
    long_tail = np.array([False, False, True, True, True])
    metrics = session_metrics(make_records(), long_tail)
    assert metrics == {
        "total_reward": pytest.approx((0.2 + 1.0 + 0.6) / 3),
        "depth": pytest.approx(2.0),
        "clicks_per_slot": pytest.approx(5 / 12),
        "coverage": 3.0,
        "repetition_rate": pytest.approx(3 / 12),
        "intra_list_diversity": pytest.approx(1 - 1.5 / 6),
        # sum over sorted (0, 2, 4, 6) of (2i - 5) x_i = -0 - 2 + 4 + 18 = 20, over 4 * 12
        "gini": pytest.approx(20 / 48),
        "long_tail_share": pytest.approx(6 / 12),
    }


def test_a_slate_of_one_has_no_diversity():
    records = make_records()
    single = SessionRecords(**{**records.__dict__, "similarity": np.full(3, NAN), "slate_size": 1})
    assert math.isnan(session_metrics(single, np.zeros(5, bool))["intra_list_diversity"])


def test_gini_of_equal_and_of_one():
    assert gini_index(np.array([3, 3, 3, 3])) == pytest.approx(0.0)
    assert gini_index(np.array([0, 0, 0, 7])) == pytest.approx(0.75)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 100), min_size=1, max_size=12).filter(any))
def test_gini_equals_the_mean_absolute_difference(counts):
    array = np.array(counts)
    expected = np.abs(array[:, None] - array).mean() / (2 * array.mean())
    assert gini_index(array) == pytest.approx(expected)


def test_the_head_is_the_fifth_with_the_most_training_clicks():
    clicks = np.array([0, 5, 9, 5, 1, 0, 0, 0, 0, 0, 0])
    tail = long_tail_items(clicks)
    # Two of ten items form the head: item 2, and of the equal items 1 and 3 the first.
    assert np.flatnonzero(~tail).tolist() == [0, 1, 2]


def test_reward_by_step_is_over_the_sessions_still_running():
    table = step_table(make_records())
    assert table["step"].tolist() == [1, 2, 3]
    assert table["n_sessions"].tolist() == [3, 2, 1]
    assert table["survival"].tolist() == pytest.approx([1, 2 / 3, 1 / 3])
    assert table["reward"].tolist() == pytest.approx([0.6, 0.1, -0.2])


def test_steps_that_no_session_reached_are_left_out():
    records = make_records()
    records.rewards[2, 2] = NAN
    assert step_table(records)["step"].tolist() == [1, 2]


def test_means_per_user():
    table = user_table(make_records())
    assert table["user_index"].tolist() == [4, 9]
    assert table["n_sessions"].tolist() == [2, 1]
    assert table["total_reward"].tolist() == pytest.approx([0.4, 1.0])
    assert table["depth"].tolist() == pytest.approx([2.5, 1.0])
