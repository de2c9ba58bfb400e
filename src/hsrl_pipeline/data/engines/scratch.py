"""Scratch folders, swept by the next run when a killed one leaves them.

Folders of ``tempfile`` stay after a kill and are closed to other users, see ADR 0005.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hsrl_pipeline.atomic import is_running

PREFIX = "scratch-"


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder below ``parent`` and remove it with all it holds at the end."""
    sweep_scratch(parent)
    folder = new_scratch(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_scratch(parent: Path) -> Path:
    """Return a new folder below ``parent`` that lives until a later run sweeps it."""
    folder = parent / f"{PREFIX}{os.getpid()}-{uuid.uuid4().hex[:12]}"
    folder.mkdir(parents=True)
    return folder


def sweep_scratch(parent: Path) -> None:
    """Remove scratch folders of processes that no longer run."""
    if not parent.is_dir():
        return
    for folder in parent.glob(f"{PREFIX}*"):
        owner = int(folder.name.removeprefix(PREFIX).split("-")[0])
        if not is_running(owner):
            shutil.rmtree(folder, ignore_errors=True)
