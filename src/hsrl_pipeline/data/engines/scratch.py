"""Scratch folders, swept by the next run when a killed one leaves them, and moves out of them."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
        if not _is_running(owner):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def move_file(source: Path, target: Path) -> None:
    """Move a finished file into place in one step, also from another file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(source, target)
    except OSError:
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        shutil.copyfile(source, partial)
        os.replace(partial, target)
        source.unlink()
