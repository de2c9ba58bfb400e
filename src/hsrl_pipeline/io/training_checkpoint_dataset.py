"""The catalog's way of handing a node the file that training resumes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsrl_pipeline.io.store_dataset import StoreDataset

if TYPE_CHECKING:
    from hsrl_pipeline.training.checkpoint_store import FileCheckpointStore


class TrainingCheckpointDataset(StoreDataset["FileCheckpointStore"]):
    """Loads a ``FileCheckpointStore`` on a file."""

    WRITER = "training checkpoints are written by the training loop"

    def load(self) -> FileCheckpointStore:
        """Return the store."""
        from hsrl_pipeline.training.checkpoint_store import FileCheckpointStore

        return FileCheckpointStore(self._filepath)
