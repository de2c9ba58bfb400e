"""Text files in pieces of UTF-8, decompressed where need be; bad encoding is named by its line."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from hsrl_pipeline.errors import UserError

BLOCK_BYTES = 16 << 20
"""How much of a file is read at once."""

ZIP_ARCHIVE = b"PK\x03\x04"


def _open_zstd(path: Path) -> Any:
    return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")


COMPRESSED: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"\x28\xb5\x2f\xfd": _open_zstd,
    b"\xfd7zXZ\x00": lzma.open,
    b"BZh91AY&SY": bz2.open,
}
"""What a compressed file begins with, and how it is opened; its name does not matter."""


def require_content(path: Path, label: str) -> None:
    """Check that there is something to read.

    Raises:
        UserError: The file is missing or empty.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist", remedy="Place the file there.")
    if path.stat().st_size == 0:
        raise UserError(
            f"{label} is empty", where=str(path), remedy="Replace it with the full file."
        )


def utf8_blocks(
    path: Path,
    encoding: str,
    label: str,
    *,
    block_bytes: int | None = None,
    checked: bool = False,
) -> Iterator[bytes]:
    """Yield a text file in pieces of UTF-8, without a byte order mark.

    Files of gzip, Zstandard, xz and bzip2 are decompressed. Text that is said to be UTF-8 is
    passed on as it is, unless it is to be checked: whether it is so shows when it is parsed.

    Args:
        path: Text file.
        encoding: Encoding of the text.
        label: What to call the file in messages.
        block_bytes: How much is read at once; None for the usual size.
        checked: Whether UTF-8 is checked as well.

    Raises:
        UserError: There is no such encoding, the text is not in it, or the file is damaged.
    """
    decoder = _decoder(encoding, checked)
    line, at_start = 1, True
    for block in _read(path, label, max(block_bytes or BLOCK_BYTES, len(codecs.BOM_UTF8))):
        piece = block
        if decoder is not None:
            piece = _decode(decoder, block, encoding, label, line).encode()
            line += piece.count(b"\n")
        if at_start and piece:
            at_start = False
            piece = piece.removeprefix(codecs.BOM_UTF8)
        if piece:
            yield piece
    if decoder is not None:
        _decode(decoder, b"", encoding, label, line)


def locate_undecodable(path: Path, encoding: str, label: str) -> None:
    """Raise the message that names the first line which is not in the encoding, if there is one."""
    for _ in utf8_blocks(path, encoding, label, checked=True):
        pass


def _decoder(encoding: str, checked: bool) -> codecs.IncrementalDecoder | None:
    """Return what turns the encoding into text; None for UTF-8 that is not to be checked."""
    try:
        name = codecs.lookup(encoding).name
        if name in ("utf-8", "utf-8-sig") and not checked:
            return None
        return codecs.getincrementaldecoder(name)()
    except LookupError as error:
        raise UserError(
            f"There is no text encoding named {encoding!r}", remedy="Name one such as utf-8."
        ) from error


def _decode(
    decoder: codecs.IncrementalDecoder, block: bytes, encoding: str, label: str, line: int
) -> str:
    """Return the text of a block; of an empty one, that nothing is left over."""
    try:
        return decoder.decode(block, final=not block)
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(encoding, "replace")
        line += before.count("\n")
        raise UserError(
            f"{label} is not {encoding} text",
            where=f"{label}, line {line}",
            remedy=f"Save the file as {encoding}, or name its encoding in the parameters.",
        ) from error


def _read(path: Path, label: str, size: int) -> Iterator[bytes]:
    """Yield the decompressed content of a file."""
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(ZIP_ARCHIVE):
        raise UserError(
            f"{label} is a zip archive", where=str(path), remedy="Unpack it and name the file."
        )
    opened = next((how for mark, how in COMPRESSED.items() if start.startswith(mark)), None)
    if opened is None:
        with path.open("rb") as file:
            while block := file.read(size):
                yield block
        return
    try:
        with opened(path) as file:
            while block := file.read(size):
                yield block
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise UserError(
            f"{label} can't be decompressed: {error}",
            where=str(path),
            remedy="Replace the damaged file.",
        ) from error
