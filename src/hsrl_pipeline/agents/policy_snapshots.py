"""A run's policy as it was after some numbers of updates, one file each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from hsrl_pipeline.checkpoint import read_checkpoint, write_checkpoint
from hsrl_pipeline.errors import UserError


class PolicySnapshots(Protocol):
    """Where the policies of a run are kept."""

    def save(self, at: int, policy: Mapping[str, Any]) -> None:
        """Keep a policy checkpoint by the number of updates it has had."""
        ...

    def load(self, at: int) -> dict[str, Any]:
        """Return the policy that was kept after so many updates."""
        ...

    def discard(self) -> None:
        """Forget all of them."""
        ...


class FilePolicySnapshots:
    """One checkpoint per number of updates in a folder.

    Args:
        folder: The folder; made when needed.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    def save(self, at: int, policy: Mapping[str, Any]) -> None:
        """Keep a policy checkpoint; the file appears complete or not at all."""
        write_checkpoint(self._path(at), policy)

    def load(self, at: int) -> dict[str, Any]:
        """Return the policy that was kept after so many updates.

        Raises:
            UserError: It was not kept, or the file can't be read.
        """
        if not self._path(at).exists():
            raise UserError(
                f"No policy was kept after {at} updates",
                where=str(self._path(at)),
                remedy="Run first: kedro run --pipeline moving_training with the same options.",
            )
        return dict(read_checkpoint(self._path(at)))

    def discard(self) -> None:
        """Delete all files of policies in the folder."""
        for path in self._folder.glob("*.safetensors"):
            path.unlink()

    def _path(self, at: int) -> Path:
        return self._folder / f"{at:08d}.safetensors"
