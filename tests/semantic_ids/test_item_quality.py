"""Click log-odds and log exposures of items in training rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.semantic_ids.item_quality import quality_columns, with_unknown_quality

from .small_log import COLD, N_ITEMS, make_log
from .test_item_vectors import WITHHELD, known_items

LOG_3 = np.log(3.0)


def by_hand() -> SlateLog:
    """Item 1: shown 20 times, clicked 20 times; item 2: 20 and 0; item 3: a test row alone."""
    zeros = np.zeros(21, np.int64)
    return SlateLog(
        slates=np.array([[1, 2]] * 20 + [[3, 0]], np.int32),
        labels=np.array([[1, 0]] * 20 + [[1, 0]], np.int8),
        users=np.ones(21, np.int32),
        timestamps=zeros,
        is_train=np.arange(21) < 20,
        history_start=zeros,
        history_end=zeros,
        timeline=np.zeros(0, np.int32),
    )


def test_columns_by_hand() -> None:
    # rates with 20 exposures at the overall 1/2: 30 of 40 and 10 of 40, so log-odds of 1 and -1
    # times log 3, whose deviation is log 3; both items were shown equally often
    quality = quality_columns(by_hand(), 3, 0.5)
    np.testing.assert_allclose(quality, [[0, 0], [0.5, 0], [-0.5, 0], [0, 0]], atol=1e-6)
    assert quality.dtype == np.float32
    more = by_hand()
    more.slates[10:20, 1] = 3  # items 2 and 3: 10 exposures each and no click; item 1 has 20
    quality = quality_columns(more, 3, 1.0)
    # 30 of 40 against twice 10 of 30, so log-odds log 3 and twice -log 2
    odds = np.array([LOG_3, -np.log(2.0), -np.log(2.0)])
    np.testing.assert_allclose(quality[1:, 0], (odds - odds.mean()) / odds.std(), atol=1e-5)
    root = np.sqrt(2.0)  # of one large value and two equal small ones
    np.testing.assert_allclose(quality[1:, 1], [root, -root / 2, -root / 2], atol=1e-5)


def test_mean_0_and_the_wanted_deviation_over_items_with_rows() -> None:
    quality = quality_columns(make_log(), N_ITEMS, 3.0)
    seen = np.setdiff1d(np.arange(1, N_ITEMS + 1), [COLD])
    np.testing.assert_allclose(quality[seen].mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(quality[seen].std(axis=0), 3.0, rtol=1e-5)


def test_items_without_training_rows_and_padding_have_0_in_both() -> None:
    assert not quality_columns(make_log(), N_ITEMS, 1.0)[[0, COLD]].any()
    nobody = make_log().select(np.zeros(120, bool))
    assert not quality_columns(nobody, N_ITEMS, 1.0).any()


def test_test_rows_change_nothing() -> None:
    one, other = (quality_columns(make_log(test_labels=k), N_ITEMS, 1.0) for k in (0, 1))
    assert (one == other).all()
    changed = replace(make_log(), labels=1 - make_log().labels)
    assert (quality_columns(changed, N_ITEMS, 1.0) != one).any()


def test_rows_of_withheld_items_change_nothing_and_they_have_0_in_both() -> None:
    log = make_log()
    withheld = np.isin(log.slates, WITHHELD)
    other = replace(log, labels=np.where(withheld, 1 - log.labels, log.labels))
    quality, same = (quality_columns(kept, N_ITEMS, 1.0, known_items()) for kept in (log, other))
    assert (quality == same).all()
    assert not quality[WITHHELD].any()
    assert (quality != quality_columns(log, N_ITEMS, 1.0)).any()  # mean and deviation are theirs
    assert (quality_columns(other, N_ITEMS, 1.0) != quality_columns(log, N_ITEMS, 1.0)).any()


@pytest.mark.parametrize(("weight", "width"), [(0.0, 0), (0.3, 2)])
def test_a_weight_of_0_leaves_the_columns_out(weight: float, width: int) -> None:
    assert quality_columns(make_log(), N_ITEMS, weight).shape == (N_ITEMS + 1, width)
    vectors = np.ones((3, 4), np.float32)
    read = with_unknown_quality(vectors, weight)
    assert (read.shape, read.dtype) == ((3, 4 + width), np.float32)
    assert (read[:, :4] == vectors).all()
    assert not read[:, 4:].any()
