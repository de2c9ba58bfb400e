"""Tables and documents on disk that a killed run can't leave half-written."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import DatasetError
from kedro_datasets._typing import TablePreview
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import CSVDataset, ParquetDataset

from hsrl_pipeline.atomic import move_into_place, staged_path


class AtomicSaveMixin:
    """Make a file dataset of kedro-datasets write to a staging file and rename it.

    Remote file systems are left alone: their uploads appear whole.
    """

    _filepath: PurePosixPath
    _protocol: str

    def save(self, data: Any) -> None:
        """Save the data so that a killed run leaves the last complete file."""
        final = self._filepath
        if self._protocol != "file":
            super().save(data)  # type: ignore[misc]
            return
        with staged_path(str(final)) as staging:
            self._filepath = PurePosixPath(staging.as_posix())
            try:
                super().save(data)  # type: ignore[misc]
            finally:
                self._filepath = final


class AtomicCSVDataset(AtomicSaveMixin, CSVDataset):
    """``kedro_datasets.pandas.CSVDataset``, written atomically."""


class AtomicJSONDataset(AtomicSaveMixin, JSONDataset):
    """``kedro_datasets.json.JSONDataset``, written atomically."""


class AtomicParquetDataset(AtomicSaveMixin, ParquetDataset):
    """``kedro_datasets.pandas.ParquetDataset``, written atomically."""

    def provenance(self) -> dict[str, Any]:
        """Return the ``attrs`` of the frame that was saved, without reading the table.

        Raises:
            DatasetError: The file is missing or is no parquet file.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with self._fs.open(str(self._filepath), "rb") as file:
                kept = pq.read_schema(file).metadata or {}
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"{self._filepath} can't be read: {error}") from error
        attrs: dict[str, Any] = json.loads(kept.get(b"PANDAS_ATTRS", b"{}"))
        return attrs


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
        move_into_place(data, Path(str(self._filepath)))
        self._invalidate_cache()

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return the first rows for Kedro-Viz without reading the whole table."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(str(self._filepath)) as file:
            batch = next(file.iter_batches(nrows), None)
            frame = (file.schema_arrow.empty_table() if batch is None else batch).to_pandas()
        return TablePreview(frame.to_dict(orient="split"))
