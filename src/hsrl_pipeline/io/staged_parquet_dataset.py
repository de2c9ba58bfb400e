"""Parquet table that may come as a finished file, to be moved instead of written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hsrl_pipeline.data.engines.scratch import move_file
from hsrl_pipeline.io.parquet_dataset import AtomicParquetDataset


class StagedParquetDataset(AtomicParquetDataset):
    """Loads a data frame; saves a data frame, or the path of a parquet file written elsewhere.

    A staged file takes the place of the old one in a single rename, so tables of one run that are
    saved one after the other change together, and tables of any size never pass through memory.
    """

    def save(self, data: Any) -> None:
        """Move a staged file into place, or write a frame."""
        if not isinstance(data, Path):
            super().save(data)
            return
        move_file(data, Path(str(self._filepath)))
        self._invalidate_cache()

    def preview(self, nrows: int = 5) -> dict[str, Any]:
        """Return the first rows for Kedro-Viz without reading the whole table."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(str(self._filepath)) as file:
            batch = next(file.iter_batches(nrows), None)
            frame = (file.schema_arrow.empty_table() if batch is None else batch).to_pandas()
        preview: dict[str, Any] = frame.to_dict(orient="split")
        return preview
