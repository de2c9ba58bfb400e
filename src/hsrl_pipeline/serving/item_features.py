"""From what a user tells of a new item to what the frozen transform of item vectors reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.data.feature_tables import ItemTable
from hsrl_pipeline.semantic_ids.item_facts import FactColumns
from hsrl_pipeline.serving.own_ids import OwnId
from hsrl_pipeline.serving.request_errors import RequestError
from hsrl_pipeline.serving.user_features import NumberScale


@dataclass(frozen=True)
class NewItem:
    """An item that no model has had yet, in the words of the user's own data.

    Attributes:
        item_id: The user's own id.
        title: Display name; empty where there is none.
        content: Features by name, as the item features have them.
        vector: Vector that comes with the data; None where the data have none.
        price: Price, or None where it is not known.
        shelf: Shelf from 1, or None without shelves.
        special: Whether the item is flagged special, or None without the flag.
    """

    item_id: OwnId
    title: str = ""
    content: Mapping[str, float | None] = field(default_factory=dict)
    vector: Sequence[float] | None = None
    price: float | None = None
    shelf: int | None = None
    special: bool | None = None


@dataclass(frozen=True)
class ContentColumn:
    """One content feature, as ingestion wrote it to the items table.

    Attributes:
        name: Its name.
        scale: How it was standardised; of a feature that was left as it is, 0 and 1.
        is_mark: Whether it holds 0 and 1 alone, as genres do; a mark that is left out is 0.
    """

    name: str
    scale: NumberScale
    is_mark: bool

    @classmethod
    def between(
        cls, name: str, raw: NDArray[np.float64], standard: NDArray[np.float64]
    ) -> ContentColumn:
        """Return the column that leads from raw numbers to those of the items table.

        Args:
            name: Name of the feature.
            raw: (item,) float64. Raw numbers, NaN where missing.
            standard: (item,) float64. The same in the items table.
        """
        present = raw[np.isfinite(raw)]
        marks = bool(np.isin(present, (0.0, 1.0)).all())
        return cls(name, NumberScale.between(raw, standard), marks)


@dataclass(frozen=True)
class ItemEncoder:
    """What the items table holds of an item, and how a new one's row is made.

    Attributes:
        columns: Content features in the order of the table.
        vector_size: Width of the vectors that come with the data; 0 without.
        facts: Further columns, made of price, shelf and flag.
    """

    columns: tuple[ContentColumn, ...]
    vector_size: int
    facts: FactColumns

    def check(self, place: int, item: NewItem, shelves: frozenset[int]) -> None:
        """Refuse an item that does not have what the others have.

        Args:
            place: Its place in the request, for messages.
            item: The item.
            shelves: Shelves that slates are made of; empty without.

        Raises:
            RequestError: Names the field.
        """
        where = f"new.{place}"
        known = {column.name for column in self.columns}
        for name in item.content:
            if name not in known:
                told = ", ".join(sorted(known)) or "none"
                raise RequestError(
                    f"{where}.content.{name}", f"there is no such feature; known are {told}"
                )
        for column in self.columns:
            self._number(where, item, column)
        self._check_vector(where, item)
        if item.price is not None:
            _refuse_absent(f"{where}.price", self.facts.median_price is not None)
            _refuse_not_finite(f"{where}.price", item.price)
        if item.special is not None:
            _refuse_absent(f"{where}.special", self.facts.has_special)
        allowed = shelves or frozenset(self.facts.shelves)
        if allowed and item.shelf not in allowed:
            told = ", ".join(str(shelf) for shelf in sorted(allowed))
            raise RequestError(f"{where}.shelf", f"an item lies on one of the shelves {told}")
        if item.shelf is not None:
            _refuse_absent(f"{where}.shelf", bool(allowed))

    def table(
        self, items: Sequence[NewItem], rows: NDArray[np.int64]
    ) -> tuple[ItemTable, NDArray[np.float32]]:
        """Return the items table with rows for new items alone, and their facts.

        Args:
            items: New items that `check` has passed.
            rows: (new,) int64. Their indices.

        Returns:
            The table, and (item, fact) float32.
        """
        size = int(rows.max()) + 1
        content = np.zeros((size, len(self.columns)), np.float32)
        vectors = np.zeros((size, self.vector_size), np.float32)
        titles, ids = np.full(size, "", object), np.full(size, "", object)
        for row, item in zip(rows, items, strict=True):
            content[row] = [self._number("new", item, column) for column in self.columns]
            if self.vector_size:
                vectors[row] = item.vector
            titles[row], ids[row] = item.title, str(item.item_id)
        told = pd.DataFrame({"item_index": rows})
        told["price"] = [item.price for item in items]
        told["shelf"] = [item.shelf or 0 for item in items]
        told["special"] = [int(bool(item.special)) for item in items]
        return ItemTable(content, vectors, None, None, titles, ids), self.facts.table(told)

    @staticmethod
    def _number(where: str, item: NewItem, column: ContentColumn) -> float:
        """Return a content feature as the items table would hold it; null is a missing value."""
        field_name = f"{where}.content.{column.name}"
        if column.name not in item.content:
            if column.is_mark:
                return column.scale.apply(0.0)
            raise RequestError(field_name, "it is missing; give null where it is not known")
        value = item.content[column.name]
        if value is None:
            return 0.0
        _refuse_not_finite(field_name, value)
        return column.scale.standardise(field_name, value)

    def _check_vector(self, where: str, item: NewItem) -> None:
        if item.vector is None:
            if self.vector_size:
                raise RequestError(
                    f"{where}.vector",
                    f"it is missing; an item has {self.vector_size} numbers",
                )
            return
        _refuse_absent(f"{where}.vector", self.vector_size > 0)
        if len(item.vector) != self.vector_size:
            raise RequestError(
                f"{where}.vector",
                f"it has {len(item.vector)} numbers, not {self.vector_size}",
            )
        for place, value in enumerate(item.vector):
            _refuse_not_finite(f"{where}.vector.{place}", value)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return {
            "columns": [
                [column.name, column.scale.mean, column.scale.spread, column.is_mark]
                for column in self.columns
            ],
            "vector_size": self.vector_size,
            "facts": self.facts.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ItemEncoder:
        """Return what `to_dict` gave."""
        columns = tuple(
            ContentColumn(name, NumberScale(mean, spread), is_mark)
            for name, mean, spread, is_mark in values["columns"]
        )
        return cls(columns, values["vector_size"], FactColumns.from_dict(values["facts"]))


def _refuse_absent(field_name: str, known: bool) -> None:
    if not known:
        raise RequestError(field_name, "the items of this model have no such feature")


def _refuse_not_finite(field_name: str, value: float) -> None:
    try:
        with np.errstate(over="ignore"):
            finite = math.isfinite(np.float32(value))
    except OverflowError:
        finite = False
    if not finite:
        raise RequestError(field_name, "NaN, infinity and larger numbers are no values")
