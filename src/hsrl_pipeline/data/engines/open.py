"""Open the engine that the parameters name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hsrl_pipeline.data.engines.engine import Engine

if TYPE_CHECKING:
    from hsrl_pipeline.config.ingestion import IngestionConfig


@contextmanager
def open_engine(config: IngestionConfig, workspace: Path) -> Iterator[Engine]:
    """Yield the engine that ``ingestion.engine`` names, closed at the end.

    Raises:
        UserError: PySpark is asked for and not installed, or its session can't start.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    engine: Engine
    if config.engine == "pyspark":
        from hsrl_pipeline.data.engines.spark_engine import SparkEngine

        engine = SparkEngine(workspace, master=config.spark_master)
    else:
        from hsrl_pipeline.data.engines.duckdb_engine import DuckDBEngine

        engine = DuckDBEngine(
            workspace, memory_limit_gb=config.memory_limit_gb, threads=config.threads
        )
    try:
        yield engine
    finally:
        engine.close()
