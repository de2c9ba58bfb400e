"""JSON document on disk, written atomically."""

from __future__ import annotations

from kedro_datasets.json import JSONDataset

from hsrl_pipeline.io.atomic import AtomicSaveMixin


class AtomicJSONDataset(AtomicSaveMixin, JSONDataset):
    """``kedro_datasets.json.JSONDataset`` that a killed run can't leave half-written."""
