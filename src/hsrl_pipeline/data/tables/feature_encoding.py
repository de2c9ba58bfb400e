"""User and item features in canonical form: what is fitted, is fitted on the training split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hsrl_pipeline.data.tables.feature_match import is_among

OPTIONAL_ITEM_COLUMNS = {
    "shelf": "int8",
    "special": "int8",
    "price": "float32",
    "released_at": "Int64",
    "quality": "float32",
}


@dataclass(frozen=True)
class EncodedUsers:
    """Canonical users and what their codes stand for.

    Attributes:
        frame: The canonical ``users`` table.
        category_values: Values of each categorical field in the order of their codes, from code 1.
        without_features: Number of users that the feature file lacks.
    """

    frame: pd.DataFrame
    category_values: dict[str, list[str]]
    without_features: int


def encode_users(index: pd.DataFrame, features: pd.DataFrame) -> EncodedUsers:
    """Return canonical users: codes and scales come from users with training slates only.

    Args:
        index: ``user_id``, ``user_index`` and ``in_train``, by index.
        features: ``user_id`` and raw ``category_*`` and ``dense_*`` columns.

    Returns:
        Categories as int32 codes, 0 for missing and for values unseen in training; numbers as
        float32 with training mean 0 and training standard deviation 1, 0 where missing.
    """
    joined = index[["user_id"]].merge(features, on="user_id", how="left", validate="one_to_one")
    in_train = index["in_train"].to_numpy(bool)
    columns: dict[str, object] = {
        "user_index": index["user_index"].to_numpy(np.int32),
        "user_id": index["user_id"].to_numpy(),
    }
    values: dict[str, list[str]] = {}
    for column in (name for name in features.columns if name.startswith("category_")):
        texts = as_category_text(joined[column])
        known = sorted(texts[in_train].dropna().unique(), key=lambda text: (len(text), text))
        codes = pd.Index(known, dtype=object).get_indexer(texts)  # -1 where missing or unseen
        columns[column] = codes.astype(np.int32) + np.int32(1)
        values[column.removeprefix("category_")] = known
    for column in (name for name in features.columns if name.startswith("dense_")):
        columns[column] = standardise(joined[column].to_numpy(np.float64), in_train)
    missing = int((~is_among(index["user_id"], features["user_id"])).sum())
    return EncodedUsers(pd.DataFrame(columns), values, missing if len(features) else 0)


def encode_items(index: pd.DataFrame, features: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return canonical items and the number of those that the feature file lacks.

    Content that leaves the range 0 to 1 is standardised by the items of the training split.

    Args:
        index: ``item_id``, ``item_index`` and ``in_train``, by index.
        features: ``item_id`` and raw feature columns; see `SourceLog.items`.
    """
    joined = index[["item_id"]].merge(features, on="item_id", how="left", validate="one_to_one")
    in_train = index["in_train"].to_numpy(bool)
    columns: dict[str, object] = {
        "item_index": index["item_index"].to_numpy(np.int32),
        "item_id": index["item_id"].to_numpy(),
        "title": _titles(joined),
    }
    for column in (name for name in features.columns if name.startswith("content_")):
        numbers = joined[column].to_numpy(np.float64)
        seen = numbers[in_train & np.isfinite(numbers)]
        bounded = seen.size == 0 or (seen.min() >= 0 and seen.max() <= 1)
        columns[column] = (
            np.nan_to_num(numbers).astype(np.float32) if bounded else standardise(numbers, in_train)
        )
    for column in (name for name in features.columns if name.startswith("vector_")):
        columns[column] = np.nan_to_num(joined[column].to_numpy(np.float64)).astype(np.float32)
    for column, dtype in OPTIONAL_ITEM_COLUMNS.items():
        if column in features.columns:
            filled = joined[column].fillna(0) if dtype == "int8" else joined[column]
            columns[column] = filled.astype(pd.api.types.pandas_dtype(dtype))
    missing = int((~is_among(index["item_id"], features["item_id"])).sum())
    return pd.DataFrame(columns), missing if len(features) else 0


def standardise(numbers: np.ndarray, in_train: np.ndarray) -> np.ndarray:
    """Return numbers scaled to training mean 0 and deviation 1; missing and constant give 0.

    Args:
        numbers: (row,) float64. NaN or infinite where missing.
        in_train: (row,) bool. Rows that mean and deviation are taken from.

    Returns:
        (row,) float32.
    """
    present = np.isfinite(numbers)
    fitted = numbers[present & in_train]
    if fitted.size == 0 or fitted.std() == 0:
        return np.zeros(len(numbers), dtype=np.float32)
    scaled = np.where(present, (numbers - fitted.mean()) / fitted.std(), 0.0)
    return scaled.astype(np.float32)


def as_category_text(column: pd.Series) -> pd.Series:
    """Return values as text, null where missing; whole numbers read alike as int and as float."""
    if pd.api.types.is_float_dtype(column):
        numbers = column.to_numpy(np.float64)
        whole = np.isfinite(numbers) & (numbers == np.floor(numbers))
        texts = np.where(whole, np.nan_to_num(numbers).astype(np.int64).astype(str), "")
        texts = np.where(whole, texts, numbers.astype(str)).astype(object)
    else:
        texts = column.astype(object).map(str, na_action="ignore").to_numpy(object)
    result = pd.Series(texts, dtype=object)
    return result.mask(column.isna().to_numpy() | (result == ""), None)


def _titles(joined: pd.DataFrame) -> np.ndarray:
    if "title" not in joined.columns:
        return np.full(len(joined), None, dtype=object)
    titles = joined["title"].astype(object)
    return titles.where(titles.notna(), None).to_numpy(object)
