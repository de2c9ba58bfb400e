"""Sizes, field names and version of one canonical dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hsrl_pipeline.errors import UserError


@dataclass(frozen=True)
class CategoryField:
    """One categorical user feature.

    Attributes:
        name: Name without the ``category_`` prefix of its column.
        cardinality: Number of codes, counting code 0 for a missing value; at least 1.
    """

    name: str
    cardinality: int


@dataclass(frozen=True)
class DatasetInfo:
    """What later stages must know of a dataset without opening its tables.

    Attributes:
        dataset: Name of the dataset, also of its folders.
        slate_size: Items per slate (K).
        n_items: Number of real items; indices run from 1 to ``n_items``.
        n_users: Number of real users; indices run from 1 to ``n_users``.
        category_fields: Categorical user features, in column order.
        dense_fields: Names of the numeric user features without the ``dense_`` prefix.
        content_fields: Names of the item content features without the ``content_`` prefix.
        vector_size: Width of the item vectors that came with the data; 0 when there are none.
        has_shelves: Whether each item belongs to a shelf that feasible slates must respect.
        time_unit: Unit of every timestamp, ``"s"`` or ``"ms"`` since 1970.
        n_train_slates: Slates of the training split.
        n_test_slates: Slates of the test split.
        version: Hash of the canonical tables' content.
    """

    dataset: str
    slate_size: int
    n_items: int
    n_users: int
    category_fields: tuple[CategoryField, ...]
    dense_fields: tuple[str, ...]
    content_fields: tuple[str, ...]
    vector_size: int
    has_shelves: bool
    time_unit: str
    n_train_slates: int
    n_test_slates: int
    version: str

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DatasetInfo:
        """Return the info held in a dictionary as `to_dict` makes it.

        Raises:
            UserError: A field is missing or unknown: the file is of another version.
        """
        expected = {field.name for field in fields(cls)}
        if set(values) != expected:
            odd = ", ".join(sorted(expected.symmetric_difference(values)))
            raise UserError(
                f"dataset_info has missing or unknown fields: {odd}",
                remedy="Run the ingestion pipeline again.",
            )
        return cls(
            **{
                **values,
                "category_fields": tuple(CategoryField(**f) for f in values["category_fields"]),
                "dense_fields": tuple(values["dense_fields"]),
                "content_fields": tuple(values["content_fields"]),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        values = asdict(self)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
        }
