"""Names of the files of a log in parts: what a pattern stands for, and which names are no data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from glob import glob
from pathlib import Path

UNFINISHED_SUFFIXES = (".tmp", ".crc", ".part", ".crdownload", "~")


def match_paths(path: Path) -> tuple[Path, list[Path]]:
    """Return the folder that a pattern starts from, and the files and folders it stands for.

    Names that begin with ``_`` or ``.`` are left out, as Spark, Hive and pyarrow leave them out
    (administrative files), and so are those that end as unfinished files do; except for partition
    folders such as ``_day=1`` and for names that the pattern itself spells out.

    Args:
        path: A folder, which stands for itself, or a pattern with ``*``.
    """
    if path.is_dir():
        return path, [path]
    base = next(parent for parent in path.parents if parent.is_dir())
    pattern = path.relative_to(base)
    return base, [
        base / match
        for match in glob(str(pattern), root_dir=base, recursive=True)
        if not any(_is_hidden(level, pattern.parts) for level in Path(match).parts)
    ]


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and its subfolders; links that lead back are left out.

    Administrative and unfinished files are left out as `match_paths` leaves them out.
    """
    return _files_below(folder, ())


def _files_below(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in above:
        return
    for entry in folder.iterdir():
        if _is_hidden(entry.name, ()):
            continue
        if entry.is_dir():
            yield from _files_below(entry, (*above, real))
        else:
            yield entry


def _is_hidden(name: str, spelt_out: Sequence[str]) -> bool:
    """Whether a name is that of an administrative or unfinished file."""
    if name.endswith(UNFINISHED_SUFFIXES):
        return not any(fnmatchcase(name, level) and level[-1] == name[-1] for level in spelt_out)
    if not name.startswith(("_", ".")) or (name.startswith("_") and "=" in name):
        return False
    return not any(fnmatchcase(name, level) and level[0] == name[0] for level in spelt_out)
