"""The embedded engine: an in-memory DuckDB that spills to the workspace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.data.engines.parquet_columns import ColumnRead, Form, id_sql, text_sql
from hsrl_pipeline.data.engines.parquet_parts import ParquetPart
from hsrl_pipeline.data.engines.text_of_bytes import text_of_bytes
from hsrl_pipeline.errors import UserError

ROW_GROUP_ROWS = 1 << 18


class DuckDBEngine(Engine):
    """Runs expressions in this process.

    Args:
        workspace: Existing scratch folder; also takes what does not fit into memory.
        memory_limit_gb: Memory that DuckDB may use before it spills, GB.
        threads: Number of threads; None for one per core.
    """

    helper_columns = frozenset({"file_index", "file_row_number"})

    def __init__(
        self, workspace: Path, *, memory_limit_gb: float = 4.0, threads: int | None = None
    ) -> None:
        super().__init__(workspace)
        settings: dict[str, object] = {
            "memory_limit": f"{memory_limit_gb}GB",
            "temp_directory": str(workspace / "spill"),
        }
        if threads is not None:
            settings["threads"] = threads
        self.backend = ibis.duckdb.connect(**settings)
        self.backend.raw_sql("SET TimeZone = 'UTC'")

    def persist(self, expression: ibis.Table, name: str) -> ibis.Table:
        """Return the same rows, computed once: a table in memory costs no encoding."""
        return self.backend.create_table(self.fresh_path(name).stem, expression, temp=True)

    def read(self, path: Path | Sequence[Path]) -> ibis.Table:
        """Return the rows of parquet files that this project wrote."""
        paths = [path] if isinstance(path, Path) else list(path)
        return self.backend.read_parquet([str(p) for p in paths])

    def write(self, expression: ibis.Table, path: Path) -> None:
        """Write the rows, in the expression's order, to one parquet file."""
        self.backend.to_parquet(
            expression,
            path,
            compression="snappy",
            row_group_size=ROW_GROUP_ROWS,
            parquet_version="V2",  # delta encoding: half the time and size for sorted numbers
            dictionary_size_limit=1,
        )

    def decode(self, data: ir.Value) -> ir.StringValue:
        """Return UTF-8 bytes as text."""
        return _decode(data)

    def close(self) -> None:
        """Close the connection."""
        self.backend.disconnect()

    def _read_parts(
        self, parts: Sequence[ParquetPart], reads: Mapping[str, ColumnRead]
    ) -> ibis.Table:
        orders = [part.order for part in parts]
        if len(orders) == 1:
            order = str(orders[0])
        elif orders == list(range(len(orders))):
            order = "file_index"
        else:
            order = f"list_extract({orders}, CAST(file_index AS BIGINT) + 1)"
        columns = [f"CAST({order} AS BIGINT) AS file_order", "file_row_number + 1 AS line"]
        columns += [
            f"{_column_sql(read)} AS {_quoted(name)}"
            for name, read in reads.items()
            if read.form is not Form.NOTHING
        ]
        files = ", ".join(_literal(str(part.path)) for part in parts)
        name = self.fresh_path("scan").stem
        try:
            self.backend.con.execute(
                f"CREATE TEMP VIEW {_quoted(name)} AS SELECT {', '.join(columns)} "
                f"FROM read_parquet([{files}], hive_partitioning = false)"
            )
        except duckdb.Error as error:
            raise UserError(
                f"{parts[0].path} can't be read as parquet: {str(error).splitlines()[0]}",
                remedy="Replace the damaged file.",
            ) from error
        return self.backend.table(name)


def _column_sql(read: ColumnRead) -> str:
    """Return the column in its form.

    NaN is what is neither finite nor infinite: DuckDB 2.0 trusts the largest value of a column's
    statistics, which leave NaN out, and takes ``isnan`` for false.
    """
    column = _quoted(read.column)
    kind = read.kind
    zoned_ns = pa.types.is_timestamp(kind) and kind.unit == "ns" and not read.int96
    if pa.types.is_floating(kind):
        column = f"CASE WHEN isfinite({column}) OR isinf({column}) THEN {column} END"
    if read.form is Form.WHOLE:
        return f"CAST({column} AS BIGINT)"
    if read.form is Form.NUMBER:
        return f"CAST({column} AS DOUBLE)"
    if read.form is Form.MOMENT:
        scale = 10**9 if zoned_ns else 10**6
        since = f"epoch_ns({column})" if zoned_ns else f"epoch_us(CAST({column} AS TIMESTAMP))"
        within = f"((({since}) % {scale} + {scale}) % {scale})"
        return (
            f"struct_pack(seconds := ({since} - {within}) // {scale}, "
            f"nanoseconds := {within} * {10**9 // scale})"
        )
    if zoned_ns:  # a type with a zone that Ibis does not know
        column = f"CAST({column} AS TIMESTAMP_NS)"
    if read.form is Form.ID:
        return id_sql(column, kind)
    return text_sql(column, kind) if read.form is Form.TEXT else column


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def evaluate_column(
    column: pa.ChunkedArray, read: Callable[[ir.Column], Mapping[str, ir.Value]]
) -> pa.Table:
    """Return expressions of a column in memory, row by row.

    Args:
        column: (row,). Values of any type; bytes are handed on as text, see `text_of_bytes`.
        read: From the column to named expressions, which must not need other rows.
    """
    rows = pa.table({"place": np.arange(len(column)), "given": _as_in_parquet(column)})
    connection = ibis.duckdb.connect(threads=1)
    try:
        connection.con.register("given_rows", rows)
        table = connection.table("given_rows")
        given = table.given
        if given.type().is_binary():
            given = text_of_bytes(given, _decode)
        return table.select("place", **read(given)).order_by("place").to_pyarrow()
    finally:
        connection.disconnect()


def number_texts(column: pa.ChunkedArray, read: ColumnRead) -> pa.ChunkedArray:
    """Return a column of numbers in memory as the text that the engine makes of one in a file."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("given_rows", pa.table({"given": _as_in_parquet(column)}))
        sql = _column_sql(replace(read, column="given"))
        return connection.sql(f"SELECT {sql} AS text FROM given_rows").to_arrow_table()["text"]


def text_of_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column in memory as text; bytes as `text_of_bytes` reads them."""
    return evaluate_column(column, lambda given: {"text": given.cast("string")})["text"]


def _as_in_parquet(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column in the type that DuckDB gives it when it reads a parquet file."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_float16(column.type):
        return column.cast(pa.float32())
    if pa.types.is_decimal256(column.type):
        return column.cast(pa.float64())
    return column


@ibis.udf.scalar.builtin(name="decode")  # type: ignore[untyped-decorator]
def _decode(data: bytes) -> str:
    raise NotImplementedError  # the engine has it
