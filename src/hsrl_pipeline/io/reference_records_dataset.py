"""The catalog's way of handing a node the folder where sessions of references are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsrl_pipeline.io.store_dataset import StoreDataset

if TYPE_CHECKING:
    from hsrl_pipeline.evaluation.kept_rollouts import FileReferenceRecords


class ReferenceRecordsDataset(StoreDataset["FileReferenceRecords"]):
    """Loads a ``FileReferenceRecords`` on a folder."""

    WRITER = "sessions of references are written by the evaluation"

    def load(self) -> FileReferenceRecords:
        """Return the store."""
        from hsrl_pipeline.evaluation.kept_rollouts import FileReferenceRecords

        return FileReferenceRecords(self._filepath)
