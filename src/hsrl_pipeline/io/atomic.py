"""Writes that are either complete or not there at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any


@contextmanager
def staged_path(final: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path beside ``final`` to write to; it takes the final name on success only.

    Args:
        final: Where the complete file shall stand. Its folder is created.

    Yields:
        The staging path, removed again when the body raises.
    """
    target = Path(final)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.with_name(f".{target.name}.{os.getpid()}.partial")
    staging.touch()
    mode = staging.stat().st_mode  # what the user's umask gives; some writers are stricter
    try:
        yield staging
        staging.chmod(mode)
        os.replace(staging, target)
    finally:
        staging.unlink(missing_ok=True)


class AtomicSaveMixin:
    """Make a file dataset of kedro-datasets write to a staging file and rename it.

    Remote file systems are left alone: their uploads appear whole.
    """

    _filepath: PurePosixPath
    _protocol: str

    def save(self, data: Any) -> None:
        """Save the data so that a killed run leaves the last complete file."""
        final = self._filepath
        if self._protocol != "file":
            super().save(data)  # type: ignore[misc]
            return
        with staged_path(str(final)) as staging:
            self._filepath = PurePosixPath(staging.as_posix())
            try:
                super().save(data)  # type: ignore[misc]
            finally:
                self._filepath = final
