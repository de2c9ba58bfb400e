"""The canonical tables, declared once, and the check of them at the pipeline's boundary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow as arrow
import pyarrow.parquet as pq

from hsrl_pipeline.errors import UserError

BATCH_ROWS = 1 << 20


def _is_text(series: pd.Series) -> bool:
    if pd.api.types.is_string_dtype(series.dtype):
        return True
    return all(isinstance(value, str) for value in series.dropna())


def _text(*, nullable: bool = False, unique: bool = False) -> pa.Column:
    return pa.Column(
        None, pa.Check(_is_text, error="must be text"), nullable=nullable, unique=unique
    )


def _whole(
    dtype: str, low: int, high: int | None = None, *, unique: bool = False, required: bool = True
) -> pa.Column:
    bound = pa.Check.ge(low) if high is None else pa.Check.in_range(low, high)
    return pa.Column(dtype, bound, unique=unique, required=required)


def _family(dtype: str, *checks: pa.Check, finite: bool = False) -> pa.Column:
    """Return any number of columns whose names share a pattern."""
    limits = [pa.Check.in_range(-3e38, 3e38)] if finite else []
    return pa.Column(dtype, [*checks, *limits], regex=True, required=False)


_CHANCE = pa.Check.in_range(0, 1, include_min=False)

ITEMS = pa.DataFrameSchema(
    {
        "item_index": _whole("int32", 1, unique=True),
        "item_id": _text(unique=True),
        "title": _text(nullable=True),
        r"content_.+": _family("float32", finite=True),
        r"vector_\d+": _family("float32", finite=True),
        "shelf": _whole("int8", 0, required=False),
        "special": _whole("int8", 0, 2, required=False),
        "price": pa.Column("float32", nullable=True, required=False),
        "released_at": pa.Column("Int64", nullable=True, required=False),
        "quality": pa.Column("float32", nullable=True, required=False),
    },
    strict=True,
    name="items",
)

USERS = pa.DataFrameSchema(
    {
        "user_index": _whole("int32", 1, unique=True),
        "user_id": _text(unique=True),
        r"category_.+": _family("int32", pa.Check.ge(0)),
        r"dense_.+": _family("float32", finite=True),
    },
    strict=True,
    name="users",
)

INTERACTIONS = pa.DataFrameSchema(
    {
        "user_index": _whole("int32", 1),
        "item_index": _whole("int32", 1),
        "timestamp": _whole("int64", 0),
        "label": _whole("int8", 0, 1),
        "value": pa.Column("float32", nullable=True),
        "slate_index": _whole("int32", -1),
        "position": _whole("int8", -1),
        "session_index": _whole("int32", 0, required=False),
        "propensity": pa.Column("float32", _CHANCE, nullable=True, required=False),
    },
    strict=True,
    name="interactions",
)

SLATES = pa.DataFrameSchema(
    {
        "slate_index": _whole("int32", 0),
        "user_index": _whole("int32", 1),
        "timestamp": _whole("int64", 0),
        "split": pa.Column(None, pa.Check.isin(["train", "test"])),
        "history_start": _whole("int64", 0),
        "history_end": _whole("int64", 0),
        "session_index": _whole("int32", 0, required=False),
        r"item_\d+": _family("int32", pa.Check.ge(1)),
        r"label_\d+": _family("int8", pa.Check.isin([0, 1])),
        r"propensity_\d+": pa.Column("float32", _CHANCE, nullable=True, regex=True, required=False),
    },
    strict=True,
    name="slates",
)

TIMELINE = pa.DataFrameSchema({"item_index": _whole("int32", 1)}, strict=True, name="timeline")

SCHEMAS = {
    "items": ITEMS,
    "users": USERS,
    "interactions": INTERACTIONS,
    "slates": SLATES,
    "timeline": TIMELINE,
}
"""Schema of each canonical table by its catalog name."""


def validate_frame(name: str, frame: pd.DataFrame) -> None:
    """Refuse a table that breaks its canonical schema.

    Args:
        name: Catalog name of the table.
        frame: The table or consecutive rows of it.

    Raises:
        UserError: Column, check and an offending value are named.
    """
    try:
        SCHEMAS[name].validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        first = error.failure_cases.iloc[0]
        raise UserError(
            f"The table {name} breaks its schema: column {first['column']!r} fails "
            f"{first['check']!r} with {first['failure_case']!r}",
            remedy="Correct the source that it was read from.",
        ) from error


def validate_file(name: str, path: Path) -> None:
    """Refuse a parquet file that breaks its canonical schema.

    A column of a large table keeps its limits if its smallest and its largest value keep them.
    Both are in the statistics of the parquet file, so the length of a table does not matter. What
    ties several columns of slates together is checked on those columns alone.

    Raises:
        UserError: As for `validate_frame`.
    """
    validate_frame(name, _extremes(path))
    if name == "slates":
        _check_slate_links(path)


def _check_slate_links(path: Path) -> None:
    """Refuse gaps in the numbering of slates, and histories that end before they start."""
    rows = 0
    with pq.ParquetFile(path) as file:
        columns = ["slate_index", "history_start", "history_end"]
        for batch in file.iter_batches(BATCH_ROWS, columns=columns):
            index, start, end = (batch.column(name).to_numpy() for name in columns)
            if not np.array_equal(index, np.arange(rows, rows + len(index))):
                raise UserError("The table slates breaks its schema: slate_index has gaps")
            if (start > end).any():
                raise UserError(
                    "The table slates breaks its schema: a history ends before it starts"
                )
            rows += len(index)


def _extremes(path: Path) -> pd.DataFrame:
    """Return the smallest and the largest value of each column and row group, and nulls if any."""
    with pq.ParquetFile(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
        columns = {}
        for place, field in enumerate(schema):
            values: list[object] = []
            for group in range(metadata.num_row_groups):
                statistics = metadata.row_group(group).column(place).statistics
                found = statistics is not None and statistics.has_min_max
                values += [statistics.min, statistics.max] if found else [None, None]
                if found and statistics.null_count:
                    values[-1] = None
            columns[field.name] = arrow.array(values, field.type)
    extremes: pd.DataFrame = arrow.table(columns, schema=schema).to_pandas()
    return extremes
