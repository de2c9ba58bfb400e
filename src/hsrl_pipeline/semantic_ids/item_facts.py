"""Facts in the items table that are no content feature but tell items apart: price, shelf, flag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class FactColumns:
    """How facts become columns; fitted once, the same for items that come later.

    Attributes:
        median_price: What a missing price counts as; None without a price column.
        shelves: Shelves that have a column; an item of another shelf has 0 in all of them.
        has_special: Whether the special flag is a column.
    """

    median_price: float | None = None
    shelves: tuple[int, ...] = ()
    has_special: bool = False

    @classmethod
    def fit(cls, items: pd.DataFrame, known: NDArray[np.bool_] | None = None) -> FactColumns:
        """Return the columns that a table of items gives rise to.

        Args:
            items: Canonical table.
            known: (item,) bool. Items whose rows are read; None for all.
        """
        if known is not None:
            items = items[known[items["item_index"].to_numpy(np.int64)]]
        priced = "price" in items.columns and items["price"].notna().any()
        shelves = np.unique(np.asarray(items["shelf"])) if "shelf" in items.columns else ()
        return cls(
            median_price=float(items["price"].astype("float64").median()) if priced else None,
            shelves=tuple(int(shelf) for shelf in shelves),
            has_special="special" in items.columns,
        )

    def table(self, items: pd.DataFrame) -> NDArray[np.float32]:
        """Return the facts of items as numbers.

        Args:
            items: Canonical table with the columns of the fitted one.

        Returns:
            (item, fact) float32. Logarithm of 1 + price, one column per shelf, the flag; row 0 and
            items without a row are zero. Width 0 when there are no such columns.
        """
        index = items["item_index"].to_numpy(np.int64)
        columns = []
        if self.median_price is not None:
            price = items["price"].astype("float64").fillna(self.median_price)
            columns.append(np.log1p(price.clip(lower=0).to_numpy()))
        if self.shelves:
            shelf = np.asarray(items["shelf"])
            columns += [(shelf == value).astype(np.float64) for value in self.shelves]
        if self.has_special:
            columns.append(items["special"].to_numpy(np.float64))
        facts = np.zeros((int(index.max(initial=0)) + 1, len(columns)), dtype=np.float32)
        if columns:
            facts[index] = np.stack(columns, axis=1)
        return facts

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        return {**asdict(self), "shelves": list(self.shelves)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FactColumns:
        """Return the columns held in a dictionary as `to_dict` makes it."""
        return cls(**{**values, "shelves": tuple(values["shelves"])})
