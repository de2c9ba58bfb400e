"""The cluster engine: the same expressions on PySpark."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.errors import UserError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BATCH_ROWS = 1 << 18


class SparkEngine(Engine):
    """Runs expressions in a Spark session.

    Args:
        workspace: Existing scratch folder that the driver and every worker can reach.
        master: Spark master URL; None leaves it to the Spark configuration (``spark-submit``,
            ``SPARK_CONF_DIR``).

    Raises:
        UserError: PySpark is not installed or the session can't start.
    """

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

    def is_number(self, column: ir.FloatingColumn) -> ir.BooleanColumn:
        """Return where floats are not NaN."""
        return ~column.isnan()

    def close(self) -> None:
        """Stop the session, unless it was there before."""
        if self._owns_session:
            self._session.stop()

    def _open_parquet(self, path: str) -> tuple[ibis.Table, list[str]]:
        from pyspark.errors import PySparkException

        try:
            frame = self._session.read.option("recursiveFileLookup", "true").parquet(path)
            files = sorted(frame.inputFiles())
        except PySparkException as error:
            raise UserError(
                f"{path} can't be read as parquet: {str(error).splitlines()[0]}",
                remedy="Correct the path in the parameters, or replace the damaged file.",
            ) from error
        numbered = frame.selectExpr(
            "*", "_metadata.file_path AS file_path", "_metadata.row_index AS file_row"
        )
        return self._as_table(numbered), files

    def _as_table(self, frame: DataFrame) -> ibis.Table:
        name = f"scan_{next(self._numbers)}"
        frame.createOrReplaceTempView(name)
        return self.backend.table(name)


def _session_settings(workspace: Path, master: str | None) -> dict[str, str]:
    """Return Spark settings; a cluster's own configuration rules everything else."""
    settings = {
        "spark.sql.session.timeZone": "UTC",
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
