"""The catalog's way of handing a node the file that training resumes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

if TYPE_CHECKING:
    from hsrl_pipeline.training.checkpoint_store import FileCheckpointStore


class TrainingCheckpointDataset(AbstractDataset[NoReturn, "FileCheckpointStore"]):
    """Loads a ``FileCheckpointStore`` on a path; the file need not exist.

    Args:
        filepath: The checkpoint file.
        metadata: Read by Kedro-Viz.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = filepath
        self.metadata = metadata

    def load(self) -> FileCheckpointStore:
        """Return the store."""
        from hsrl_pipeline.training.checkpoint_store import FileCheckpointStore

        return FileCheckpointStore(self._filepath)

    def save(self, data: NoReturn) -> None:
        """Refuse: states are kept through the store.

        Raises:
            DatasetError: Always.
        """
        raise DatasetError("training checkpoints are written by the training loop")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
