"""Model state as a dataset of the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from hsrl_pipeline.checkpoint import (
    Checkpoint,
    read_checkpoint,
    read_checkpoint_config,
    write_checkpoint,
)
from hsrl_pipeline.errors import UserError


class CheckpointDataset(AbstractDataset[Checkpoint, Checkpoint]):
    """Symmetric, atomic dataset for a ``Checkpoint``, see ``hsrl_pipeline.checkpoint``.

    Args:
        filepath: The ``.safetensors`` file.
        metadata: Read by Kedro-Viz and by the tracking hook.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Checkpoint:
        """Load config and state; tensors are on the CPU.

        Raises:
            DatasetError: The file is missing or is no safetensors file with a config.
        """
        try:
            return read_checkpoint(self._filepath)
        except UserError as error:
            raise DatasetError(str(error)) from error

    def provenance(self) -> dict[str, Any]:
        """Return the config alone, without reading any tensor.

        Raises:
            DatasetError: The file is missing or is no safetensors file with a config.
        """
        try:
            return read_checkpoint_config(self._filepath)
        except UserError as error:
            raise DatasetError(str(error)) from error

    def save(self, data: Checkpoint) -> None:
        """Save config and state in one atomic write."""
        write_checkpoint(self._filepath, data)

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
