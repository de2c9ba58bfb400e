"""The files of delimited text that a name in the parameters stands for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hsrl_pipeline.data.engines.part_names import files_below, match_paths
from hsrl_pipeline.errors import UserError

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".psv", ".dat", ".log")
PARQUET_SUFFIXES = (".parquet", ".parq", ".pq")
COMPRESSION_SUFFIXES = (".gz", ".zst", ".xz", ".bz2")
PARQUET_MARK = b"PAR1"


@dataclass(frozen=True)
class TextParts:
    """Delimited files that together are one table.

    Attributes:
        paths: The files, in the order of their paths.
        labels: What to call them in messages.
        n_unread: Other files of a folder, whose names do not say that they are text.
        n_empty: Files without a byte, which are not among ``paths``.
    """

    paths: tuple[Path, ...]
    labels: tuple[str, ...]
    n_unread: int = 0
    n_empty: int = 0

    def notes(self, name: str) -> dict[str, int]:
        """Return the counts worth knowing, for accounts.

        Args:
            name: What the parameters call the files.
        """
        counts = {
            f"files in {name} that are not read": self.n_unread,
            f"empty files in {name}": self.n_empty,
        }
        return {what: count for what, count in counts.items() if count > 0}


def find_text_parts(folder: Path, name: str) -> TextParts | None:
    """Return the delimited files that a name stands for; None when it stands for parquet.

    A single file is text unless its name or its first bytes say parquet. Of a folder those files
    count whose names end as text does, compressed or not; all count where no name tells.
    Administrative and unfinished files are left out, see `match_paths`.

    Args:
        folder: Folder that relative names start from.
        name: A file, a folder, or a pattern of files or folders with ``*``.

    Raises:
        UserError: A folder or pattern holds no file, or both text and parquet.
    """
    place = folder / name
    if place.is_file():
        return None if _is_parquet(place) else TextParts((place,), (place.name,))
    base, matches = match_paths(place)
    found = {match for match in matches if match.is_file()}
    below = {path for match in matches if match.is_dir() for path in files_below(match)}
    known = {path for path in below if _kind(path) is not None}
    read = sorted(found | (known or below), key=str)
    if not read and _kind(place) != "parquet":
        raise UserError(
            f"There is no file of text or parquet at {place}",
            remedy="Correct the path in the parameters, or place the file there.",
        )
    texts = [path for path in read if not _is_parquet(path)]
    if not texts:
        return None
    if len(texts) < len(read):
        other = next(path for path in read if path not in texts)
        raise UserError(
            f"{place} holds text ({texts[0].name}) and parquet ({other.name})",
            remedy="Name one of the two with a pattern such as *.csv or *.parquet.",
        )
    full = [path for path in texts if path.stat().st_size > 0] or texts[:1]
    return TextParts(
        tuple(full),
        tuple(path.relative_to(base).as_posix() for path in full),
        n_unread=len(found | below) - len(read),
        n_empty=len(texts) - len(full),
    )


def _kind(path: Path) -> Literal["text", "parquet"] | None:
    """Return what the name of a file says that it is; None when it does not tell."""
    name = path.name.lower()
    for suffix in COMPRESSION_SUFFIXES:
        name = name.removesuffix(suffix)
    if name.endswith(PARQUET_SUFFIXES):
        return "parquet"
    return "text" if name.endswith(TEXT_SUFFIXES) else None


def _is_parquet(path: Path) -> bool:
    kind = _kind(path)
    if kind is not None:
        return kind == "parquet"
    with path.open("rb") as file:
        return file.read(len(PARQUET_MARK)) == PARQUET_MARK
