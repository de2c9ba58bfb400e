"""Parquet table on disk, written atomically."""

from __future__ import annotations

from kedro_datasets.pandas import ParquetDataset

from hsrl_pipeline.io.atomic import AtomicSaveMixin


class AtomicParquetDataset(AtomicSaveMixin, ParquetDataset):
    """``kedro_datasets.pandas.ParquetDataset`` that a killed run can't leave half-written."""
