from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.config.sid import DecodingPriorConfig
from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.semantic_ids.item_priors import prior_table, score_items

ITEMS = pd.DataFrame(
    {
        "item_index": [1, 2, 3],
        "released_at": pd.array([300, None, 100], dtype="Int64"),
        "quality": [0.2, 0.9, 0.9],
    }
)


def make_log() -> SlateLog:
    """Training positives: item 1 twice, item 3 once; item 2 only in the test split."""
    zeros = np.zeros(3, np.int64)
    return SlateLog(
        slates=np.array([[1, 3], [1, 2], [2, 2]], np.int32),
        labels=np.array([[1, 1], [1, 0], [1, 1]], np.int8),
        users=np.ones(3, np.int32),
        timestamps=zeros,
        is_train=np.array([True, True, False]),
        history_start=zeros,
        history_end=zeros,
        timeline=np.zeros(0, np.int32),
    )


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({}, [1.0, 0.0, 0.5]),
        ({"popularity": 0, "recency": 1}, [1.0, 0.0, 0.5]),
        ({"popularity": 0, "quality": 2}, [0.0, 1.5, 1.5]),
        ({"popularity": 1, "quality": 1}, [1.0, 0.75, 1.25]),
    ],
)
def test_priors_are_weighted_ranks(weights: dict[str, float], expected: list[float]) -> None:
    scores = score_items(ITEMS, make_log(), DecodingPriorConfig(**weights))
    assert scores.tolist() == pytest.approx([0.0, *expected])


def test_columns_that_are_missing_count_nothing() -> None:
    config = DecodingPriorConfig(popularity=1, quality=5)
    scores = score_items(ITEMS[["item_index"]], make_log(), config)
    assert scores.tolist() == pytest.approx([0.0, 1.0, 0.0, 0.5])


def test_weights_of_zero_leave_equal_priors() -> None:
    scores = score_items(ITEMS, make_log(), DecodingPriorConfig(popularity=0))
    assert scores.tolist() == [0.0, 0.0, 0.0, 0.0]


def test_the_table_is_in_the_order_of_the_items() -> None:
    frame = pd.DataFrame({"item_index": [3, 1, 2], "prior": [0.3, 0.1, 0.2]})
    assert prior_table(frame, 3).tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize("index", [[1, 2], [1, 2, 2], [1, 2, 4]])
def test_priors_of_other_items_are_refused(index: list[int]) -> None:
    frame = pd.DataFrame({"item_index": index, "prior": 0.5})
    with pytest.raises(UserError, match="the dataset has 3"):
        prior_table(frame, 3)


def test_items_that_are_not_known_have_prior_0_and_no_say_in_the_ranks() -> None:
    known = np.array([False, True, False, True])
    weights = DecodingPriorConfig(popularity=1, quality=1)
    scores = score_items(ITEMS, make_log(), weights, known=known)
    assert scores.tolist() == [0.0, 1.0, 0.0, 1.0]
    other = ITEMS.assign(quality=[0.2, -5.0, 0.9])
    assert (score_items(other, make_log(), weights, known=known) == scores).all()
