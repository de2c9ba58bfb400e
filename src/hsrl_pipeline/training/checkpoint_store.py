"""The one file a killed training run resumes from."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from hsrl_pipeline.atomic import staged_path, sweep_unfinished
from hsrl_pipeline.errors import UserError

logger = logging.getLogger(__name__)


class CheckpointStore(Protocol):
    """Where the trainer keeps its last good state."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the kept state; a kill at any moment leaves the old or the new one."""
        ...

    def load(self) -> dict[str, Any] | None:
        """Return the kept state, or None when there is none."""
        ...

    def discard(self) -> None:
        """Forget the kept state."""
        ...


class FileCheckpointStore:
    """A checkpoint in one file, written beside it and then moved into place.

    Args:
        path: The file; its folder is made when needed.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the kept state; a kill at any moment leaves the old or the new one."""
        with staged_path(self._path) as staging, staging.open("wb") as file:
            torch.save(dict(state), file)

    def load(self) -> dict[str, Any] | None:
        """Return the kept state on the CPU, or None when there is none.

        Raises:
            UserError: The file is damaged or is no checkpoint.
        """
        if not self._path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self._path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError, OSError) as error:
            raise UserError(
                "The training checkpoint can't be read",
                where=str(self._path),
                remedy="Delete it and train without training.resume.",
            ) from error
        return state

    def discard(self) -> None:
        """Forget the kept state, and what killed runs left half-written beside it."""
        self._path.unlink(missing_ok=True)
        sweep_unfinished(self._path)
