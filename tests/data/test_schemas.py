from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.data.schemas import validate_file, validate_frame
from hsrl_pipeline.errors import UserError


def slates(**columns: object) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "slate_index": np.arange(3, dtype=np.int32),
            "user_index": np.ones(3, np.int32),
            "timestamp": np.arange(3),
            "split": ["train", "train", "test"],
            "history_start": np.zeros(3, np.int64),
            "history_end": np.arange(3),
            "item_0": np.ones(3, np.int32),
            "label_0": np.zeros(3, np.int8),
        }
    )
    return frame.assign(**columns)


def interactions(**columns: object) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "user_index": np.ones(4, np.int32),
            "item_index": np.arange(1, 5, dtype=np.int32),
            "timestamp": np.arange(4),
            "label": np.array([0, 1, 1, 0], np.int8),
            "value": np.array([1, 2, np.nan, 4], np.float32),
            "slate_index": np.array([0, 0, -1, -1], np.int32),
            "position": np.array([0, 1, -1, -1], np.int8),
        }
    )
    return frame.assign(**columns)


def items(**columns: object) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "item_index": np.array([1, 2], np.int32),
            "item_id": ["a", "b"],
            "title": ["A", None],
            "content_x": np.zeros(2, np.float32),
        }
    )
    return frame.assign(**columns)


@pytest.mark.parametrize(
    ("name", "frame"), [("slates", slates()), ("interactions", interactions())]
)
def test_good_files_pass(tmp_path: Path, name: str, frame: pd.DataFrame) -> None:
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=2)
    validate_file(name, tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("name", "frame", "message"),
    [
        ("slates", slates(item_0=np.array([1, 0, 1], np.int32)), "item_0.*fails"),
        ("slates", slates(label_0=np.array([1, 0, 2], np.int8)), "label_0.*fails"),
        ("slates", slates(slate_index=np.array([0, 2, 3], np.int32)), "slate_index has gaps"),
        ("slates", slates(history_start=np.full(3, 1)), "a history ends before it starts"),
        ("slates", slates(split="dev"), "'split' fails"),
        ("slates", slates(extra=1), "extra"),
        ("interactions", interactions(label=np.array([0, 1, 3, 0], np.int8)), "label"),
        ("interactions", interactions(timestamp=np.array([0, -1, 2, 3])), "timestamp"),
        ("interactions", interactions(user_index=np.ones(4, np.int64)), "user_index"),
        ("interactions", interactions().drop(columns="value"), "value"),
    ],
)
def test_files_that_break_their_schema_are_refused(
    tmp_path: Path, name: str, frame: pd.DataFrame, message: str
) -> None:
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=2)
    with pytest.raises(UserError, match=message):
        validate_file(name, tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item_id": ["a", "a"]}, "item_id"),
        ({"item_id": [1, 2]}, "must be text"),
        ({"item_index": np.array([0, 1], np.int32)}, "item_index"),
        ({"content_x": np.array([np.nan, 0], np.float32)}, "content_x"),
        ({"content_x": np.array([np.inf, 0], np.float32)}, "content_x"),
        ({"shelf": np.array([1, -1], np.int8)}, "shelf"),
    ],
)
def test_items_that_break_their_schema_are_refused(
    columns: dict[str, object], message: str
) -> None:
    validate_frame("items", items())
    with pytest.raises(UserError, match=message):
        validate_frame("items", items(**columns))
