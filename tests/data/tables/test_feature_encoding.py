import numpy as np
import pandas as pd

from hsrl_pipeline.data.tables.feature_encoding import (
    as_category_text,
    encode_items,
    encode_users,
    standardise,
)

INDEX = pd.DataFrame(
    {"user_id": ["a", "b", "c"], "user_index": [1, 2, 3], "in_train": [True, True, False]}
)
ITEMS = INDEX.rename(columns={"user_id": "item_id", "user_index": "item_index"})


def test_codes_come_from_training_users_and_unseen_values_are_missing() -> None:
    features = pd.DataFrame(
        {"user_id": ["c", "b", "a"], "category_job": ["pilot", "nurse", "cook"], "dense_age": 9.0}
    )
    users = encode_users(INDEX, features)
    assert users.category_values == {"job": ["cook", "nurse"]}
    assert users.frame["category_job"].tolist() == [1, 2, 0]
    assert users.frame["dense_age"].tolist() == [0.0, 0.0, 0.0]  # constant
    assert users.without_features == 0


def test_users_without_features_have_code_zero_and_the_training_mean() -> None:
    features = pd.DataFrame(
        {"user_id": ["a", "c"], "category_job": ["cook", "cook"], "dense_age": [30.0, 50.0]}
    )
    users = encode_users(INDEX, features)
    assert users.frame["category_job"].tolist() == [1, 0, 1]
    assert users.frame["category_job"].dtype == np.int32
    assert users.without_features == 1


def test_standardising_uses_training_rows_alone() -> None:
    numbers = np.array([1.0, 3.0, 11.0, np.nan, np.inf])
    in_train = np.array([True, True, False, True, True])
    assert standardise(numbers, in_train).tolist() == [-1.0, 1.0, 9.0, 0.0, 0.0]
    assert standardise(np.array([np.nan, 2.0]), np.array([True, False])).tolist() == [0.0, 0.0]


def test_whole_numbers_read_alike_as_int_and_as_float() -> None:
    assert as_category_text(pd.Series([1.0, np.nan, 2.5])).fillna("-").tolist() == ["1", "-", "2.5"]
    assert as_category_text(pd.Series([1, 20])).tolist() == ["1", "20"]
    assert as_category_text(pd.Series(["x", "", None])).fillna("-").tolist() == ["x", "-", "-"]


def test_content_beyond_zero_to_one_is_standardised() -> None:
    features = pd.DataFrame(
        {
            "item_id": ["a", "b", "c"],
            "title": ["A", None, "C"],
            "content_flag": [0.0, 1.0, 1.0],
            "content_length": [10.0, 30.0, 20.0],
            "vector_0": [0.5, np.nan, 2.0],
            "shelf": [1, 2, 3],
            "price": [1.5, 2.5, np.nan],
            "released_at": [1, 2, 3],
        }
    )
    items, lacking = encode_items(ITEMS, features)
    assert lacking == 0
    assert items["content_flag"].tolist() == [0.0, 1.0, 1.0]
    assert items["content_length"].tolist() == [-1.0, 1.0, 0.0]
    assert items["vector_0"].tolist() == [0.5, 0.0, 2.0]
    assert {str(items[name].dtype) for name in ("shelf", "price", "released_at")} == {
        "int8",
        "float32",
        "Int64",
    }
    assert items["title"].isna().tolist() == [False, True, False]


def test_items_without_any_file_have_ids_alone() -> None:
    items, lacking = encode_items(ITEMS, pd.DataFrame({"item_id": []}, dtype=str))
    assert items.columns.tolist() == ["item_index", "item_id", "title"]
    assert lacking == 0
