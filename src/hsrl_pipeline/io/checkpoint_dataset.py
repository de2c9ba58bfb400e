"""Model state on disk: a JSON-able config and named tensors in one safetensors file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from kedro.io import AbstractDataset, DatasetError

from hsrl_pipeline.atomic import staged_path


class Checkpoint(TypedDict):
    """What is needed to rebuild a model.

    Attributes:
        config: JSON-able description: sizes, settings, provenance.
        state: Named arrays or tensors; loaded as torch tensors on the CPU.
    """

    config: dict[str, Any]
    state: dict[str, Any]


class CheckpointDataset(AbstractDataset[Checkpoint, Checkpoint]):
    """Symmetric, atomic dataset for a ``Checkpoint``; executes no code when it loads.

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
        from safetensors import SafetensorError, safe_open

        if not self._filepath.exists():
            raise DatasetError(f"{self._filepath} does not exist")
        try:
            with safe_open(self._filepath, framework="pt") as file:
                config = json.loads(file.metadata()["config"])
                state = {name: file.get_tensor(name) for name in file.keys()}
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{self._filepath} is not a readable checkpoint: {error}") from error
        return {"config": config, "state": state}

    def provenance(self) -> dict[str, Any]:
        """Return the config alone, without reading any tensor.

        Raises:
            DatasetError: The file is missing or is no safetensors file with a config.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._filepath, framework="numpy") as file:
                config: dict[str, Any] = json.loads(file.metadata()["config"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{self._filepath} is not a readable checkpoint: {error}") from error
        return config

    def save(self, data: Checkpoint) -> None:
        """Save config and state in one atomic write."""
        import torch
        from safetensors.torch import save_file

        tensors = {
            name: (torch.from_numpy(value) if isinstance(value, np.ndarray) else value)
            .detach()
            .cpu()
            .contiguous()
            .clone()  # shared storage can't be stored twice
            for name, value in data["state"].items()
        }
        header = {"config": json.dumps(data["config"], sort_keys=True)}
        with staged_path(self._filepath) as staging:
            save_file(tensors, staging, metadata=header)

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
