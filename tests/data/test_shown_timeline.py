import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.data.shown_timeline import build_shown_timeline


def build(slates, labels, users, history_start, history_end, *, timeline):
    return build_shown_timeline(
        slates=np.array(slates, np.int32),
        labels=np.array(labels, np.int8),
        users=np.array(users, np.int32),
        history_start=np.array(history_start, np.int64),
        history_end=np.array(history_end, np.int64),
        timeline=np.array(timeline, np.int32),
    )


def before(shown):
    """Return what lies before each slate."""
    return [shown.events[s:e].tolist() for s, e in zip(shown.start, shown.end, strict=True)]


def test_earlier_slates_of_the_user_with_skips_negative():
    shown = build(
        slates=[[1, 2], [7, 8], [3, 4], [5, 6]],
        labels=[[1, 0], [0, 0], [0, 1], [1, 1]],
        users=[1, 2, 1, 1],
        history_start=[0, 0, 0, 0],
        history_end=[0, 0, 1, 2],
        timeline=[1, 4, 5, 6],
    )
    assert before(shown) == [[], [], [1, -2], [1, -2, -3, 4]]
    assert shown.n_slates.tolist() == [0, 0, 1, 2]
    assert shown.events.dtype == np.int32


def test_positives_without_a_slate_stand_where_they_happened():
    """User 1 came with clicks 21, 22 and liked 23 between the slates; user 2 came with 31."""
    shown = build(
        slates=[[1, 2], [3, 4], [7, 8]],
        labels=[[1, 0], [0, 0], [0, 1]],
        users=[1, 1, 2],
        history_start=[0, 0, 4],
        history_end=[2, 4, 5],
        timeline=[21, 22, 1, 23, 31, 8],
    )
    assert before(shown) == [[21, 22], [21, 22, 1, -2, 23], [31]]


def test_a_slate_that_interleaves_with_another_is_not_before_it():
    """Slate [1, 2] begins before [3, 4] and ends after it: neither is before the other."""
    shown = build(
        slates=[[3, 4], [1, 2], [5, 6]],
        labels=[[1, 0], [1, 1], [0, 0]],
        users=[1, 1, 1],
        history_start=[0, 0, 0],
        history_end=[1, 0, 3],
        timeline=[1, 3, 2],
    )
    first, second, third = before(shown)
    assert first == [1]
    assert second == []
    assert third[-4:] == [3, -4, 1, 2]
    assert shown.n_slates.tolist() == [0, 0, 2]


def test_rows_share_the_events():
    shown = build([[1, 2], [3, 4]], [[0, 0], [0, 0]], [1, 1], [0, 0], [0, 0], timeline=[])
    later = shown.select(np.array([False, True]))
    assert before(later) == [[-1, -2]]
    assert later.n_slates.tolist() == [1]
    assert later.events is shown.events


def test_a_log_without_slates():
    shown = build(np.zeros((0, 2)), np.zeros((0, 2)), [], [], [], timeline=[])
    assert len(shown.events) == len(shown.start) == 0


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_equals_a_log_cut_one_event_after_the_other(data):
    """Users with prior clicks, slates of two and loose positives, built event by event."""
    rows, timeline, expected = [], [], []
    item = 0
    for user in range(1, data.draw(st.integers(1, 4)) + 1):
        start, so_far = len(timeline), []
        for _ in range(data.draw(st.integers(1, 4))):
            for _ in range(data.draw(st.integers(0, 2))):  # positives in no slate
                item += 1
                timeline.append(item)
                so_far.append(item)
            slate, labels = [item + 1, item + 2], data.draw(st.tuples(*[st.integers(0, 1)] * 2))
            item += 2
            rows.append((slate, labels, user, start, len(timeline)))
            expected.append(list(so_far))
            for shown_item, label in zip(slate, labels, strict=True):
                so_far.append(shown_item if label else -shown_item)
                timeline += [shown_item] * label
    # rows of several users come mixed, those of one user in time order
    order = data.draw(st.permutations([row[2] for row in rows]))
    queues = {user: [i for i, row in enumerate(rows) if row[2] == user] for user in set(order)}
    mixed = [queues[user].pop(0) for user in order]
    columns = zip(*[rows[i] for i in mixed], strict=True)
    shown = build(*map(list, columns), timeline=timeline)
    assert before(shown) == [expected[i] for i in mixed]


@pytest.mark.parametrize("seed", range(3))
def test_nothing_of_the_slate_itself_or_after_it(seed):
    """Whatever the pointers say, a history holds earlier rows and earlier positives alone."""
    rng = np.random.default_rng(seed)
    users = rng.integers(1, 4, 30)
    ends = rng.integers(0, 20, 30)
    slates = np.arange(100, 160).reshape(30, 2)
    shown = build(
        slates, rng.integers(0, 2, (30, 2)), users, np.zeros(30), ends, timeline=range(1, 21)
    )
    for row, events in enumerate(before(shown)):
        from_slates = [abs(event) for event in events if abs(event) >= 100]
        assert all((item - 100) // 2 < row for item in from_slates)
        assert all(users[(item - 100) // 2] == users[row] for item in from_slates)
