"""The catalog's way of handing a node the folder where sessions of references are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

if TYPE_CHECKING:
    from hsrl_pipeline.evaluation.kept_rollouts import FileReferenceRecords


class ReferenceRecordsDataset(AbstractDataset[NoReturn, "FileReferenceRecords"]):
    """Loads a ``FileReferenceRecords`` on a folder, which need not exist.

    Args:
        filepath: The folder.
        metadata: Read by Kedro-Viz.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = filepath
        self.metadata = metadata

    def load(self) -> FileReferenceRecords:
        """Return the store."""
        from hsrl_pipeline.evaluation.kept_rollouts import FileReferenceRecords

        return FileReferenceRecords(self._filepath)

    def save(self, data: NoReturn) -> None:
        """Refuse: sessions are kept through the store.

        Raises:
            DatasetError: Always.
        """
        raise DatasetError("sessions of references are written by the evaluation")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
