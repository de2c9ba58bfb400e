"""The catalog's way of handing a node the folder of a run's kept policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsrl_pipeline.io.store_dataset import StoreDataset

if TYPE_CHECKING:
    from hsrl_pipeline.agents.policy_snapshots import FilePolicySnapshots


class PolicySnapshotsDataset(StoreDataset["FilePolicySnapshots"]):
    """Loads a ``FilePolicySnapshots`` on a folder."""

    WRITER = "policies are kept by the training loop"

    def load(self) -> FilePolicySnapshots:
        """Return the store."""
        from hsrl_pipeline.agents.policy_snapshots import FilePolicySnapshots

        return FilePolicySnapshots(self._filepath)
