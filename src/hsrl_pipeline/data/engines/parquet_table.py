"""Small parquet files in memory, their parts brought together as those of a log are."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from hsrl_pipeline.data.engines.duckdb_engine import number_texts, text_of_column
from hsrl_pipeline.data.engines.parquet_columns import (
    ColumnRead,
    Form,
    is_list,
    plan_reads,
)
from hsrl_pipeline.data.engines.parquet_parts import (
    ParquetPart,
    describe_parts,
    find_parts,
    foldered_columns,
)
from hsrl_pipeline.errors import UserError


def read_columns(
    path: Path, columns: Collection[str], lists: Collection[str] = (), ids: Collection[str] = ()
) -> pa.Table:
    """Return columns of a file, folder or pattern, row by row in the order of the parts.

    NaN comes out as null, and types of parts are brought together, as `Engine.scan_parquet` does
    both.

    Args:
        path: A file, a folder or a pattern with ``*``.
        columns: Wanted columns.
        lists: Those of them that may hold lists; they come as lists of text when a part has lists.
        ids: Those of them that are ids, see `Engine.scan_parquet`.

    Raises:
        UserError: Nothing is there, a file is no parquet, lacks a wanted column or holds what is
            neither text nor number.
    """
    wanted = list(dict.fromkeys(columns))
    parts = describe_parts(find_parts(path), wanted)
    foldered = foldered_columns(parts, {name: name for name in wanted})
    stored = {name: name for name in wanted if name not in foldered}
    tables = []
    for place, (part, plan) in enumerate(
        zip(parts, plan_reads(parts, stored, ids=ids, lists=lists), strict=True)
    ):
        read = _read_part(part, plan)
        read |= {
            name: pa.repeat(pa.scalar(values[place], pa.string()), part.rows)
            for name, values in foldered.items()
        }
        tables.append({name: read[name] for name in wanted})
    for name in lists:
        if any(is_list(table[name].type) for table in tables):
            for table in tables:
                table[name] = _as_lists(table[name])
    if not tables:
        return pa.table({name: pa.array([], pa.string()) for name in wanted})
    return pa.concat_tables([pa.table(table) for table in tables], promote_options="permissive")


def _read_part(part: ParquetPart, plan: dict[str, ColumnRead]) -> dict[str, pa.ChunkedArray]:
    try:
        with pq.ParquetFile(part.path) as file:
            table = file.read(columns=list(plan))
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{part.path} can't be read as parquet: {str(error).splitlines()[0]}",
            remedy="Replace the damaged file.",
        ) from error
    return {name: _in_form(table[name], read) for name, read in plan.items()}


def _in_form(column: pa.ChunkedArray, read: ColumnRead) -> pa.ChunkedArray:
    if read.form is Form.NOTHING:
        return pa.chunked_array([pa.nulls(len(column))])
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_floating(column.type):
        number = column.cast(pa.float32()) if types.is_float16(column.type) else column
        column = pc.if_else(pc.is_nan(number), pa.scalar(None, number.type), number)
    if read.form is Form.WHOLE:
        return column.cast(pa.int64())
    if read.form is Form.NUMBER:
        return column.cast(pa.float64())
    return _as_text(column, read) if read.form in (Form.TEXT, Form.ID) else column


def _as_text(column: pa.ChunkedArray, read: ColumnRead) -> pa.ChunkedArray:
    kind = column.type
    if types.is_boolean(kind):
        return column.cast(pa.int8()).cast(pa.string())
    if types.is_floating(kind) or types.is_decimal(kind):
        return number_texts(column, read)
    if types.is_string(kind) or types.is_primitive(kind):
        return column.cast(pa.string())
    return text_of_column(column)


def _as_lists(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return lists of text; text is split at ``|``, missing elements are left out."""
    cells = []
    for cell in column.to_pylist():
        values = cell if isinstance(cell, list) else [] if cell is None else str(cell).split("|")
        cells.append([_element(value) for value in values if not _is_missing(value)])
    return pa.chunked_array([pa.array(cells, pa.list_(pa.string()))])


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _element(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
