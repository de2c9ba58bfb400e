"""The cluster engine: the same expressions on PySpark."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.data.engines.parquet_columns import ColumnRead, Form, id_sql, text_sql
from hsrl_pipeline.data.engines.parquet_parts import ParquetPart
from hsrl_pipeline.errors import UserError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BATCH_ROWS = 1 << 18
SCHEME = "^[a-z]+:/+"  # file:/x and file:///x are one file


class SparkEngine(Engine):
    """Runs expressions in a Spark session.

    Args:
        workspace: Existing scratch folder that the driver and every worker can reach.
        master: Spark master URL; None leaves it to the Spark configuration (``spark-submit``,
            ``SPARK_CONF_DIR``).

    Raises:
        UserError: PySpark is not installed or the session can't start.
    """

    helper_columns = frozenset({"_metadata"})

    def __init__(self, workspace: Path, *, master: str | None = None) -> None:
        super().__init__(workspace)
        try:
            from pyspark.errors import PySparkException
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise UserError(
                "The engine pyspark is not installed",
                where="ingestion.engine",
                remedy="Install the extra `spark` and Java 17, or set ingestion.engine to duckdb.",
            ) from error
        builder = SparkSession.builder.appName("hsrl_pipeline ingestion").config(
            "spark.ui.showConsoleProgress", "false"
        )
        for key, value in _session_settings(workspace, master).items():
            builder = builder.config(key, value)
        self._owns_session = SparkSession.getActiveSession() is None
        try:
            self._session = builder.getOrCreate()
        except (PySparkException, RuntimeError, OSError) as error:
            raise UserError(
                f"Spark can't start: {str(error).splitlines()[0]}",
                where="ingestion.spark_master",
                remedy="Check that Java 17 is installed and that the master is reachable.",
            ) from error
        self.backend = ibis.pyspark.connect(self._session)

    def read(self, path: Path | Sequence[Path]) -> ibis.Table:
        """Return the rows of parquet files that this project wrote."""
        paths = [path] if isinstance(path, Path) else list(path)
        return self._as_table(self._session.read.parquet(*[str(p) for p in paths]))

    def write(self, expression: ibis.Table, path: Path) -> None:
        """Write the rows, in the expression's order, to one parquet file.

        Spark writes sorted parts; the driver strings them together without holding them.
        """
        parts = path.with_name(f"{path.name}.parts")
        self.backend.to_parquet(expression, parts)
        schema = expression.schema().to_pyarrow()
        with pq.ParquetWriter(path, schema) as writer:
            for part in sorted(parts.glob("part-*.parquet")):
                for batch in pq.ParquetFile(part).iter_batches(BATCH_ROWS):
                    writer.write_table(pa.Table.from_batches([batch]).cast(schema))
        shutil.rmtree(parts)

    def decode(self, data: ir.Value) -> ir.StringValue:
        """Return UTF-8 bytes as text."""
        return data.cast("string")

    def close(self) -> None:
        """Stop the session, unless it was there before."""
        if self._owns_session:
            self._session.stop()

    def _read_parts(
        self, parts: Sequence[ParquetPart], reads: Mapping[str, ColumnRead]
    ) -> ibis.Table:
        from pyspark.errors import PySparkException

        # the names are files, not patterns
        files = [re.sub(r"([\\\[\]{}*?])", r"\\\1", str(part.path)) for part in parts]
        columns = [
            f"{_column_sql(read)} AS {_quoted(name)}"
            for name, read in reads.items()
            if read.form is not Form.NOTHING
        ]
        try:
            frame = self._session.read.option("recursiveFileLookup", "true").parquet(*files)
            paths = frame.inputFiles()
        except PySparkException as error:
            raise UserError(
                f"{parts[0].path} can't be read as parquet: {str(error).splitlines()[0]}",
                remedy="Replace the damaged file.",
            ) from error
        rows = self._as_table(
            frame.selectExpr(
                f"regexp_replace(_metadata.file_path, '{SCHEME}', '/') AS file_path",
                "_metadata.row_index + 1 AS line",
                *columns,
            )
        )
        if len(parts) == 1:
            return rows.drop("file_path").mutate(file_order=ibis.literal(parts[0].order, "int64"))
        orders = {str(part.path): part.order for part in parts}
        places = ibis.memtable(
            {
                "place_path": [re.sub(SCHEME, "/", path) for path in paths],
                "file_order": [orders[unquote(urlsplit(path).path)] for path in paths],
            },
            schema={"place_path": "string", "file_order": "int64"},
        )
        return rows.join(places, rows.file_path == places.place_path).drop(
            "file_path", "place_path"
        )

    def _as_table(self, frame: DataFrame) -> ibis.Table:
        name = f"scan_{next(self._numbers)}"
        frame.createOrReplaceTempView(name)
        return self.backend.table(name)


def _column_sql(read: ColumnRead) -> str:
    """Return the column in its form; times in nanoseconds are read as whole numbers."""
    column = _quoted(read.column)
    kind = read.kind
    as_whole = pa.types.is_timestamp(kind) and kind.unit == "ns" and not read.int96
    if pa.types.is_floating(kind):
        column = f"CASE WHEN isnan({column}) THEN NULL ELSE {column} END"
    if read.form is Form.WHOLE:
        return f"CAST({column} AS BIGINT)"
    if read.form is Form.NUMBER:
        return f"CAST({column} AS DOUBLE)"
    if read.form is Form.MOMENT:
        scale = 10**9 if as_whole else 10**6
        since = column if as_whole else f"unix_micros(CAST({column} AS TIMESTAMP))"
        within = f"pmod({since}, {scale}L)"
        return (
            f"named_struct('seconds', ({since} - {within}) DIV {scale}L, "
            f"'nanoseconds', {within} * {10**9 // scale}L)"
        )
    if as_whole:
        column = f"timestamp_micros({column} DIV 1000L)"
    if read.form is Form.ID:
        return id_sql(column, kind)
    return text_sql(column, kind) if read.form is Form.TEXT else column


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _session_settings(workspace: Path, master: str | None) -> dict[str, str]:
    """Return Spark settings; a cluster's own configuration rules everything else."""
    settings = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.legacy.parquet.nanosAsLong": "true",  # Spark has no type for them
        "spark.sql.warehouse.dir": str(workspace / "warehouse"),
    }
    if master is None:
        return settings
    settings["spark.master"] = master
    if master.startswith("local"):
        settings |= {
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": str(_local_cores(master)),
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
        }
    return settings


def _local_cores(master: str) -> int:
    """Return the number of cores of a local master such as ``local[2]`` or ``local[*]``."""
    asked = master.removeprefix("local").strip("[]").split(",")[0]
    if asked.isdigit():
        return int(asked)
    return (os.cpu_count() or 1) if asked == "*" else 1
