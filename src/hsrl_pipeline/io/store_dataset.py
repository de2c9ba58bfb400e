"""The catalog's way of handing a node a store: what is kept there goes through the store."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Generic, NoReturn, TypeVar

from kedro.io import AbstractDataset, DatasetError

StoreT = TypeVar("StoreT")


class StoreDataset(AbstractDataset[NoReturn, StoreT], Generic[StoreT]):
    """Loads a store on a path, where nothing need exist yet.

    Args:
        filepath: The file or folder of the store.
        metadata: Read by Kedro-Viz.
    """

    WRITER: str
    """Who writes what, for the message of a refused save."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = filepath
        self.metadata = metadata

    @abstractmethod
    def load(self) -> StoreT:
        """Return the store."""

    def save(self, data: NoReturn) -> None:
        """Refuse: what is kept goes through the store.

        Raises:
            DatasetError: Always.
        """
        raise DatasetError(self.WRITER)

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
