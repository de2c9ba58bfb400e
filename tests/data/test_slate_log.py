import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsrl_pipeline.data.slate_log import SlateLog, split_latest
from hsrl_pipeline.errors import UserError


@pytest.fixture
def log() -> SlateLog:
    slates = pd.DataFrame(
        {
            "slate_index": [0, 1, 2],
            "user_index": [1, 2, 1],
            "timestamp": [10, 20, 30],
            "split": ["train", "train", "test"],
            "history_start": [0, 3, 0],
            "history_end": [0, 5, 3],
            "item_0": [4, 5, 6],
            "item_1": [7, 8, 9],
            "label_0": [1, 0, 1],
            "label_1": [0, 0, 1],
        }
    )
    return SlateLog.from_frames(slates, pd.DataFrame({"item_index": [4, 6, 9, 2, 3]}))


def test_from_frames_keeps_order_types_and_split(log: SlateLog) -> None:
    assert len(log) == 3
    assert log.slate_size == 2
    assert log.slates.tolist() == [[4, 7], [5, 8], [6, 9]]
    assert log.labels.tolist() == [[1, 0], [0, 0], [1, 1]]
    assert (log.slates.dtype, log.labels.dtype) == (np.dtype("int32"), np.dtype("int8"))
    assert log.is_train.tolist() == [True, True, False]
    assert log.train.users.tolist() == [1, 2]
    assert log.test.timestamps.tolist() == [30]


def test_histories_are_left_padded_with_the_newest_last(log: SlateLog) -> None:
    rows = np.array([0, 1, 2])
    assert log.histories(rows, 4).tolist() == [[0, 0, 0, 0], [0, 0, 2, 3], [0, 4, 6, 9]]
    assert log.histories(rows, 2).tolist() == [[0, 0], [2, 3], [6, 9]]
    assert log.histories(rows, 2).dtype == np.int64


def test_selected_rows_keep_their_history(log: SlateLog) -> None:
    part = log.select(np.array([2]))
    assert part.timeline is log.timeline
    assert part.histories(np.array([0]), 3).tolist() == [[4, 6, 9]]


def test_a_log_without_positives_has_empty_histories(log: SlateLog) -> None:
    zeros = np.zeros(1, dtype=np.int64)
    empty = SlateLog(
        slates=np.ones((1, 2), np.int32),
        labels=np.zeros((1, 2), np.int8),
        users=np.ones(1, np.int32),
        timestamps=zeros,
        is_train=np.ones(1, bool),
        history_start=zeros,
        history_end=zeros,
        timeline=np.zeros(0, np.int32),
    )
    assert empty.histories(np.array([0]), 3).tolist() == [[0, 0, 0]]


def test_rows_of_differing_length_are_refused(log: SlateLog) -> None:
    with pytest.raises(ValueError, match="labels has shape"):
        SlateLog(**{**log.__dict__, "labels": log.labels[:1]})


@given(st.data())
def test_windows_equal_slicing_the_timeline(data: st.DataObject) -> None:
    timeline = data.draw(st.lists(st.integers(1, 99), min_size=1, max_size=30))
    start = data.draw(st.integers(0, len(timeline)))
    end = data.draw(st.integers(start, len(timeline)))
    size = data.draw(st.integers(1, 12))
    log = SlateLog(
        slates=np.ones((1, 1), np.int32),
        labels=np.zeros((1, 1), np.int8),
        users=np.ones(1, np.int32),
        timestamps=np.zeros(1, np.int64),
        is_train=np.ones(1, bool),
        history_start=np.array([start]),
        history_end=np.array([end]),
        timeline=np.array(timeline, np.int32),
    )
    expected = timeline[max(start, end - size) : end]
    assert log.histories(np.array([0]), size)[0].tolist() == [0] * (size - len(expected)) + expected


def test_the_latest_rows_are_held_out_whatever_their_order(log: SlateLog) -> None:
    fitting, held_out = split_latest(log.select(np.array([2, 0, 1])), 0.34)
    assert fitting.timestamps.tolist() == [10, 20]
    assert held_out.timestamps.tolist() == [30]


@pytest.mark.parametrize(("fraction", "n_held_out"), [(1e-6, 1), (0.999999, 2)])
def test_each_side_keeps_a_row(log: SlateLog, fraction: float, n_held_out: int) -> None:
    assert len(split_latest(log, fraction)[1]) == n_held_out


def test_one_slate_is_too_little(log: SlateLog) -> None:
    with pytest.raises(UserError, match="at least 2 slates"):
        split_latest(log.test, 0.1)
