"""In which form the columns of parquet parts come out, so that parts of other types agree.

A log of many parts is written by many runs of many programs: a column is int32 in one part and
int64 in the next, float where it once had a gap, text where a zero led. What all parts say alike
stays as it is; what they say differently comes out in the narrowest form that changes no value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import pyarrow as pa
from pyarrow import types

from hsrl_pipeline.data.engines.parquet_parts import ParquetPart
from hsrl_pipeline.errors import UserError

FIRST_INEXACT = {16: 1 << 11, 32: 1 << 24, 64: 1 << 53}
"""Smallest whole number whose successor a float of that many bits can't hold."""

FRACTION_MARK = " [a float, not whole]"
ROUNDED_MARK = " [a float, rounded]"
"""What follows a number that is no id: told by its type, which its text no longer shows."""


class Form(Enum):
    """What a column comes out as. NaN comes out as null in each."""

    SAME = "its own type"
    WHOLE = "int64"
    NUMBER = "float64"
    TEXT = "text; whole numbers without a decimal point"
    ID = "text as TEXT, with a mark after a number that is no id"
    MOMENT = "struct of seconds since 1970 (int64) and nanoseconds within the second (int64)"
    NOTHING = "null"


@dataclass(frozen=True)
class ColumnRead:
    """How one column of a part is read.

    Attributes:
        column: Name in the file.
        kind: Type in the file.
        form: What it comes out as.
        int96: Whether it is a time of 96 bits.
    """

    column: str
    kind: pa.DataType
    form: Form
    int96: bool = False


def plan_reads(
    parts: Sequence[ParquetPart],
    columns: Mapping[str, str],
    *,
    times: Collection[str] = (),
    ids: Collection[str] = (),
    lists: Collection[str] = (),
) -> list[dict[str, ColumnRead]]:
    """Return how to read each part, so that all parts give the same types.

    Args:
        parts: Parts with rows.
        columns: Name to give to each wanted column, and its name in the files.
        times: Given names of columns that are times, typed or not.
        ids: Given names of columns that are ids.
        lists: Given names of columns that may hold lists; these keep their types.

    Returns:
        For each part, by given name, how its column is read.

    Raises:
        UserError: A column holds lists or the like, or dates in one part and something else in
            another.
    """
    plans: list[dict[str, ColumnRead]] = [{} for _ in parts]
    for name, column in columns.items():
        kinds = [part.type_of(column) for part in parts]
        for part, kind in zip(parts, kinds, strict=True):
            if types.is_nested(kind) and not (name in lists and is_list(kind)):
                raise UserError(
                    f"The column {column!r} holds {kind}, not one value in each row",
                    where=str(part.path),
                    remedy="Unfold lists into rows and structs into columns; only the columns of "
                    "`tags` may hold lists.",
                )
        if len(set(kinds)) > 1:
            kinds = [
                pa.null() if not types.is_nested(kind) and part.is_empty(column) else kind
                for part, kind in zip(parts, kinds, strict=True)
            ]
        if any(is_list(kind) for kind in kinds):
            form = Form.SAME
        else:
            form = _common_form(parts, kinds, column, is_time=name in times, is_id=name in ids)
        for part, kind, plan in zip(parts, kinds, plans, strict=True):
            int96 = kind == pa.timestamp("ns") and part.is_int96(column)
            own = Form.NOTHING if types.is_null(kind) else form
            plan[name] = ColumnRead(column, kind, own, int96)
    return plans


def _common_form(
    parts: Sequence[ParquetPart],
    kinds: Sequence[pa.DataType],
    column: str,
    *,
    is_time: bool,
    is_id: bool,
) -> Form:
    found = {kind for kind in kinds if not types.is_null(kind)}
    dated = {kind for kind in found if _is_dated(kind)}
    if is_time and dated:
        if dated != found:
            first, other = (
                next(k for k, kind in enumerate(kinds) if kind in group)
                for group in (dated, found - dated)
            )
            raise UserError(
                f"The column {column!r} holds times ({kinds[first]}) in {parts[first].path} and "
                f"{kinds[other]} in {parts[other].path}",
                remedy="Write the times of all parts in one form.",
            )
        return Form.MOMENT
    # engines take float16 for float32, which holds more whole numbers
    if len(found) <= 1 and not (is_id and pa.float16() in found):
        return Form.SAME
    if all(_fits_int64(kind) for kind in found):
        return Form.WHOLE
    if is_id:
        return Form.ID
    numeric = all(_fits_int64(k) or types.is_integer(k) or types.is_floating(k) for k in found)
    if all(types.is_floating(kind) for kind in found) or (is_time and numeric):
        return Form.NUMBER
    return Form.TEXT


def is_list(kind: pa.DataType) -> bool:
    """Whether values of a type are lists of single values."""
    listed = (
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
        or types.is_list_view(kind)
        or types.is_large_list_view(kind)
    )
    return listed and not types.is_nested(kind.value_type)


def _is_dated(kind: pa.DataType) -> bool:
    return bool(types.is_timestamp(kind) or types.is_date(kind))


def _fits_int64(kind: pa.DataType) -> bool:
    return bool(types.is_boolean(kind) or (types.is_integer(kind) and kind != pa.uint64()))


def text_sql(column: str, kind: pa.DataType) -> str:
    """Return a column as text, in SQL that DuckDB and Spark both read.

    Args:
        column: The column, quoted as the engine does.
        kind: Its type in the file.
    """
    if types.is_boolean(kind):
        return f"CAST(CAST({column} AS INT) AS STRING)"
    if types.is_floating(kind):
        number = f"CAST({column} AS DOUBLE)"
        return (
            f"CASE WHEN abs({number}) < {FIRST_INEXACT[64]} AND {number} = floor({number}) "
            f"THEN CAST(CAST({number} AS BIGINT) AS STRING) ELSE CAST({number} AS STRING) END"
        )
    if types.is_decimal(kind):
        return f"regexp_replace(CAST({column} AS STRING), '[.]0+$', '')"
    if types.is_binary(kind) or types.is_fixed_size_binary(kind):
        return column
    return f"CAST({column} AS STRING)"


def id_sql(column: str, kind: pa.DataType) -> str:
    """Return a column of ids as `text_sql` does, with a mark after a number that is no id.

    Args:
        column: The column, quoted as the engine does.
        kind: Its type in the file.
    """
    text = text_sql(column, kind)
    if types.is_floating(kind) or types.is_decimal256(kind):  # DuckDB reads these as float64
        number = f"CAST({column} AS DOUBLE)"
        exact = f"abs({number}) < {FIRST_INEXACT[min(kind.bit_width, 64)]}"
        endless = f"abs({number}) = CAST('Infinity' AS DOUBLE)"
        return (
            f"CASE WHEN {exact} AND {number} = floor({number}) THEN {text} "
            f"WHEN {exact} OR {endless} THEN CAST({number} AS STRING) || '{FRACTION_MARK}' "
            f"ELSE CAST({number} AS STRING) || '{ROUNDED_MARK}' END"
        )
    if types.is_decimal(kind):
        return (
            f"CASE WHEN {column} = floor({column}) THEN {text} "
            f"ELSE CAST({column} AS STRING) || '{FRACTION_MARK}' END"
        )
    return text
