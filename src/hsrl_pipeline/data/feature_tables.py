"""User and item features as arrays addressed by dense index, row 0 being padding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.data.dataset_info import DatasetInfo
from hsrl_pipeline.shapes import check_shape


@dataclass(frozen=True)
class UserTable:
    """User features; row ``u`` belongs to user index ``u`` and row 0 to an unknown user.

    Attributes:
        categories: (user, field) int64. Codes in ``[0, category_sizes[field])``; 0 is missing.
        dense: (user, dense) float32. Standardised numeric features; 0 is the training mean.
        category_sizes: Number of codes of each field, code 0 counted.
    """

    categories: NDArray[np.int64]
    dense: NDArray[np.float32]
    category_sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        check_shape("categories", self.categories, None, len(self.category_sizes))
        check_shape("dense", self.dense, len(self.categories), None)

    @classmethod
    def from_frame(cls, users: pd.DataFrame, info: DatasetInfo) -> UserTable:
        """Return the features of the canonical ``users`` table."""
        index = users["user_index"].to_numpy(np.int64)
        return cls(
            categories=_by_index(
                users, index, info.n_users, [f"category_{f.name}" for f in info.category_fields]
            ).astype(np.int64),
            dense=_by_index(
                users, index, info.n_users, [f"dense_{name}" for name in info.dense_fields]
            ).astype(np.float32),
            category_sizes=tuple(field.cardinality for field in info.category_fields),
        )


@dataclass(frozen=True)
class ItemTable:
    """Item features; row ``i`` belongs to item index ``i`` and row 0 is padding.

    Attributes:
        content: (item, content) float32. Content features such as genres; width 0 when unknown.
        vectors: (item, embed) float32. Vectors that came with the data; width 0 when none did.
        shelves: (item,) int64 or None. Shelf of each item from 1; 0 in the padding row.
        special: (item,) int64 or None. 1 for items flagged special, else 0.
        titles: (item,) object. Display names; empty where unknown.
        item_ids: (item,) object. The user's own ids as strings; empty in the padding row.
    """

    content: NDArray[np.float32]
    vectors: NDArray[np.float32]
    shelves: NDArray[np.int64] | None
    special: NDArray[np.int64] | None
    titles: NDArray[np.object_]
    item_ids: NDArray[np.object_]

    def __post_init__(self) -> None:
        rows = len(self.item_ids)
        check_shape("content", self.content, rows, None)
        check_shape("vectors", self.vectors, rows, None)
        check_shape("titles", self.titles, rows)

    @classmethod
    def from_frame(cls, items: pd.DataFrame, info: DatasetInfo) -> ItemTable:
        """Return the features of the canonical ``items`` table."""
        index = items["item_index"].to_numpy(np.int64)

        def numbers(columns: list[str]) -> NDArray[np.float32]:
            return _by_index(items, index, info.n_items, columns).astype(np.float32)

        def flags(column: str) -> NDArray[np.int64] | None:
            if column not in items.columns:
                return None
            return _by_index(items, index, info.n_items, [column])[:, 0].astype(np.int64)

        return cls(
            content=numbers([f"content_{name}" for name in info.content_fields]),
            vectors=numbers([f"vector_{k}" for k in range(info.vector_size)]),
            shelves=flags("shelf"),
            special=flags("special"),
            titles=_texts(items["title"], index, info.n_items),
            item_ids=_texts(items["item_id"], index, info.n_items),
        )

    @property
    def n_items(self) -> int:
        """Number of real items."""
        return len(self.item_ids) - 1


def _by_index(
    frame: pd.DataFrame, index: NDArray[np.int64], count: int, columns: list[str]
) -> NDArray[np.float64]:
    """Return (count + 1, column) float64 with each row at its dense index and zeros elsewhere."""
    table = np.zeros((count + 1, len(columns)), dtype=np.float64)
    if columns:
        table[index] = frame[columns].to_numpy(np.float64)
    return table


def _texts(column: pd.Series, index: NDArray[np.int64], count: int) -> NDArray[np.object_]:
    """Return (count + 1,) object with each text at its dense index and empty text elsewhere."""
    texts = np.full(count + 1, "", dtype=object)
    texts[index] = column.astype(object).where(column.notna(), "").to_numpy()
    return texts
