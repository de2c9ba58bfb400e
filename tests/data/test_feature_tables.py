import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.data.dataset_info import CategoryField, DatasetInfo
from hsrl_pipeline.data.feature_tables import ItemTable, UserTable
from hsrl_pipeline.errors import UserError

INFO = DatasetInfo(
    dataset="toy",
    slate_size=2,
    n_items=3,
    n_users=2,
    category_fields=(CategoryField("gender", 3),),
    dense_fields=("age",),
    content_fields=("drama", "comedy"),
    vector_size=1,
    has_shelves=True,
    time_unit="s",
    n_train_slates=4,
    n_test_slates=1,
    version="abc",
)


def test_info_survives_a_round_trip_through_a_dictionary() -> None:
    values = INFO.to_dict()
    assert values["category_fields"] == [{"name": "gender", "cardinality": 3}]
    assert values["content_fields"] == ["drama", "comedy"]
    assert DatasetInfo.from_dict(values) == INFO


def test_info_of_another_version_is_refused() -> None:
    values = INFO.to_dict()
    del values["time_unit"]
    with pytest.raises(UserError, match="time_unit"):
        DatasetInfo.from_dict(values)


def test_users_stand_at_their_index_and_row_zero_is_empty() -> None:
    users = pd.DataFrame(
        {"user_index": [2, 1], "category_gender": [1, 2], "dense_age": [0.5, -1.0]}
    )
    table = UserTable.from_frame(users, INFO)
    assert table.categories.tolist() == [[0], [2], [1]]
    assert table.dense.tolist() == [[0.0], [-1.0], [0.5]]
    assert table.dense.dtype == np.float32
    assert table.category_sizes == (3,)


def test_items_stand_at_their_index_and_row_zero_is_empty() -> None:
    items = pd.DataFrame(
        {
            "item_index": [1, 2, 3],
            "item_id": ["a", "b", "c"],
            "title": ["A", None, "C"],
            "content_drama": [1.0, 0.0, 1.0],
            "content_comedy": [0.0, 1.0, 1.0],
            "vector_0": [0.1, 0.2, 0.3],
            "shelf": [1, 1, 2],
        }
    )
    table = ItemTable.from_frame(items, INFO)
    assert table.content.tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]
    assert table.vectors.shape == (4, 1)
    assert table.vectors[0, 0] == 0
    assert table.shelves is not None
    assert table.shelves.tolist() == [0, 1, 1, 2]
    assert table.special is None
    assert table.titles.tolist() == ["", "A", "", "C"]
    assert table.item_ids.tolist() == ["", "a", "b", "c"]
    assert table.n_items == 3
