"""Files that are complete or not there at all: finished elsewhere, then renamed into place.

A rename within one file system is a single step, so readers see the last complete file until the
next one is complete. What is renamed is flushed to the disk before, because some file systems
would otherwise keep the new name and lose the content when the machine dies. The folder itself is
not flushed: at worst the rename is lost, and the last complete file is still there.
"""

from __future__ import annotations

import errno
import glob
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUFFIX = ".partial"
"""How the names of unfinished files end."""

ABANDONED_AFTER_SECONDS = 24 * 3600
"""When an unfinished file counts as left behind, if its process can't be asked for."""

_OWNER = re.compile(r"\.(?P<host>[^.]+)\.(?P<process>\d+)-[0-9a-f]+\.partial$")
_HOST = re.sub(r"[^\w-]", "_", platform.node()) or "localhost"


@contextmanager
def staged_path(final: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path beside ``final`` to write to; it takes the final name on success only.

    Unfinished files that killed processes left for the same name are removed first.

    Args:
        final: Where the complete file shall stand. Its folder is created.

    Yields:
        The staging path, removed again when the body raises.
    """
    target = Path(final)
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep_unfinished(target)
    staging = _unfinished(target)
    staging.touch()
    mode = staging.stat().st_mode  # what the user's umask gives; some writers are stricter
    try:
        yield staging
        staging.chmod(mode)
        _flush(staging)
        os.replace(staging, target)
    finally:
        staging.unlink(missing_ok=True)


def move_into_place(source: Path, target: Path) -> None:
    """Move a finished file or folder to its place in one step, also from another file system.

    Args:
        source: The file or folder; gone afterwards.
        target: Its place, whose parent folder is created. A file that stands there is replaced; a
            folder is not.

    Raises:
        OSError: The move is not possible; ``target`` is as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep_unfinished(target)
    _flush(source)
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_into_place(source, target)
        _remove(source)


def sweep_unfinished(final: str | os.PathLike[str]) -> None:
    """Remove what killed processes left unfinished beside a file.

    Args:
        final: The complete file's path. Unfinished files of running processes stay; those of other
            machines stay for a day after their last change.
    """
    target = Path(final)
    for staging in target.parent.glob(f".{glob.escape(target.name)}.*{SUFFIX}"):
        if _is_abandoned(staging):
            _remove(staging)


def is_running(process: int) -> bool:
    """Return whether a process with this id runs on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _unfinished(target: Path) -> Path:
    owner = f"{_HOST}.{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return target.with_name(f".{target.name}.{owner}{SUFFIX}")


def _is_abandoned(staging: Path) -> bool:
    owner = _OWNER.search(staging.name)
    if owner is not None and owner["host"] == _HOST:
        return not is_running(int(owner["process"]))
    try:
        age = time.time() - staging.stat().st_mtime
    except FileNotFoundError:
        return False
    return age > ABANDONED_AFTER_SECONDS


def _copy_into_place(source: Path, target: Path) -> None:
    if source.is_file():
        with staged_path(target) as staging:
            shutil.copyfile(source, staging)
        return
    staging = _unfinished(target)
    try:
        shutil.copytree(source, staging)
        _flush(staging)
        os.replace(staging, target)
    finally:
        _remove(staging)


def _flush(path: Path) -> None:
    """Have the content of a file, or of all files below a folder, written to the disk."""
    for file in [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
