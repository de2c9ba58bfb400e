"""The embedded engine: an in-memory DuckDB that spills to the workspace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from hsrl_pipeline.data.engines.engine import Engine
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

    def is_number(self, column: ir.FloatingColumn) -> ir.BooleanColumn:
        """Return where floats are not NaN.

        DuckDB 2.0 trusts a file's largest value, which leaves NaN out, and takes ``isnan`` for
        false.
        """
        return _isfinite(column) | column.isinf()

    def close(self) -> None:
        """Close the connection."""
        self.backend.disconnect()

    def _open_parquet(self, path: str) -> tuple[ibis.Table, list[str]]:
        pattern = f"{path.rstrip('/')}/**/*.parquet" if Path(path).is_dir() else path
        try:
            found = self.backend.con.execute(
                "SELECT file FROM glob(?) ORDER BY file", [pattern]
            ).fetchall()
            files = [str(row[0]) for row in found]
            if not files:
                raise UserError(
                    f"There is no parquet file at {path}",
                    remedy="Correct the path in the parameters, or place the file there.",
                )
            table = self.backend.read_parquet(files, filename=True, file_row_number=True)
        except duckdb.Error as error:
            raise UserError(
                f"{path} can't be read as parquet: {str(error).splitlines()[0]}",
                remedy="Replace the damaged file.",
            ) from error
        return table.rename(file_path="filename", file_row="file_row_number"), files


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


@ibis.udf.scalar.builtin(name="isfinite")  # type: ignore[untyped-decorator]
def _isfinite(number: float) -> bool:
    raise NotImplementedError  # the engine has it
