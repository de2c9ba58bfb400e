"""The catalog's way of handing a node the folder of a run's kept policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

if TYPE_CHECKING:
    from hsrl_pipeline.agents.policy_snapshots import FilePolicySnapshots


class PolicySnapshotsDataset(AbstractDataset[NoReturn, "FilePolicySnapshots"]):
    """Loads a ``FilePolicySnapshots`` on a folder, which need not exist.

    Args:
        filepath: The folder.
        metadata: Read by Kedro-Viz.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = filepath
        self.metadata = metadata

    def load(self) -> FilePolicySnapshots:
        """Return the store."""
        from hsrl_pipeline.agents.policy_snapshots import FilePolicySnapshots

        return FilePolicySnapshots(self._filepath)

    def save(self, data: NoReturn) -> None:
        """Refuse: policies are kept through the store.

        Raises:
            DatasetError: Always.
        """
        raise DatasetError("policies are kept by the training loop")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
