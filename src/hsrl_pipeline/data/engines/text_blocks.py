"""Text files in pieces of whole lines, decoded with a message that names the faulty line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hsrl_pipeline.errors import UserError

BLOCK_BYTES = 16 << 20
"""How much of a file is read at once."""


def require_content(path: Path) -> None:
    """Check that there is something to read.

    Raises:
        UserError: The file is missing or empty.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist", remedy="Place the file there.")
    if path.stat().st_size == 0:
        raise UserError(
            f"{path.name} is empty", where=str(path), remedy="Replace it with the full file."
        )


def whole_line_blocks(path: Path) -> Iterator[bytes]:
    """Yield the file in pieces that end between two lines, without the line end."""
    rest = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            whole, newline, rest_of_block = block.rpartition(b"\n")
            if not newline:
                rest += block
                continue
            yield rest + whole
            rest = rest_of_block
    if rest:
        yield rest


def decode(block: bytes, encoding: str, file: str, first_line: int) -> str:
    """Return the text of a piece.

    Args:
        block: The piece.
        encoding: Encoding of the file.
        file: Name of the file, for messages.
        first_line: Line that the piece begins with, from 1.

    Raises:
        UserError: The piece is not in the encoding, or there is no such encoding.
    """
    try:
        return block.decode(encoding)
    except UnicodeDecodeError as error:
        line = first_line + block.count(b"\n", 0, error.start)
        raise UserError(
            f"{file} is not {encoding} text",
            where=f"{file}, line {line}",
            remedy=f"Save the file as {encoding}, or name its encoding in the parameters.",
        ) from error
    except LookupError as error:
        raise UserError(
            f"There is no text encoding named {encoding!r}", remedy="Name one such as utf-8."
        ) from error


def locate_undecodable(path: Path, encoding: str) -> None:
    """Raise the message that names the first line which is not in the encoding, if there is one."""
    line = 1
    for block in whole_line_blocks(path):
        decode(block, encoding, path.name, line)
        line += block.count(b"\n") + 1
