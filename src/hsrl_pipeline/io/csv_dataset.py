"""Comma-separated table on disk, written atomically."""

from __future__ import annotations

from kedro_datasets.pandas import CSVDataset

from hsrl_pipeline.io.atomic import AtomicSaveMixin


class AtomicCSVDataset(AtomicSaveMixin, CSVDataset):
    """``kedro_datasets.pandas.CSVDataset`` that a killed run can't leave half-written."""
