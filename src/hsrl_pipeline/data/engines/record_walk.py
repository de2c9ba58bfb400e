"""One record of delimited text read field by field, where a look at its line does not tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

QUOTE, NEWLINE, RETURN = b'"', b"\n", b"\r"
LINES_COMPARED = 20
"""How many lines of a record are looked at to tell whether they are rows of their own."""
NUMBER_BYTES = b"0123456789.+-:eETZ/ "

Outcome = Literal["whole", "open", "cut", "tail", "return"]


@dataclass(frozen=True)
class RecordForm:
    """How a row looks.

    Attributes:
        n_fields: Number of fields of a row.
        delimiter: What stands between fields; one byte where fields may be quoted.
        quoted: Whether a double quote at the start of a field quotes it.
    """

    n_fields: int
    delimiter: bytes
    quoted: bool = True


@dataclass(frozen=True)
class Walk:
    """What reading fields from the start of a line came to.

    Attributes:
        outcome: ``"whole"``: the record ends. ``"open"``: no quote closes its last field.
            ``"cut"``: the text ends before it. ``"tail"``, ``"return"``: its defects.
        stop: Where its content ends, or where the defect is.
        end: Place of its line end; as ``stop`` where there is none.
        n_fields: Fields so far.
    """

    outcome: Outcome
    stop: int
    end: int
    n_fields: int


def walk_record(text: bytes, start: int, form: RecordForm) -> Walk:
    """Read fields from the start of a line to the end of their record or to the first defect."""
    place, n_fields = start, 0
    while True:
        quoted = form.quoted and text.startswith(QUOTE, place)
        outcome, stop, end = (_quoted if quoted else _plain)(text, place, form)
        if outcome != "whole":
            return Walk(outcome, stop, end, n_fields)
        n_fields += 1
        if text.startswith(NEWLINE, end):
            return Walk("whole", stop, end, n_fields)
        place = end + len(form.delimiter)


def _quoted(text: bytes, place: int, form: RecordForm) -> tuple[Outcome, int, int]:
    """Read the quoted field at a place; return outcome, end of its content, what stands behind."""
    close = text.find(QUOTE, place + 1)
    while close >= 0 and text.startswith(QUOTE, close + 1):
        close = text.find(QUOTE, close + 2)
    if close < 0:
        return "open", len(text), len(text)
    stop = end = close + 1
    while text.startswith(RETURN, end):
        end += 1
    if end == len(text):
        return "cut", stop, end
    if text.startswith(NEWLINE, end) or (stop == end and text.startswith(form.delimiter, end)):
        return "whole", stop, end
    return "tail", stop, stop


def _plain(text: bytes, place: int, form: RecordForm) -> tuple[Outcome, int, int]:
    """Read the field without quotes at a place; returns as `_quoted`."""
    end = text.find(NEWLINE, place)
    if end < 0:
        return "cut", place, place
    delimiter = text.find(form.delimiter, place, end)
    if delimiter >= 0:
        stop = end = delimiter
    else:
        stop = place + len(text[place:end].rstrip(RETURN))
    lone = text.find(RETURN, place, stop)
    return ("return", lone, lone) if lone >= 0 else ("whole", stop, end)


def holds_rows(text: bytes, start: int, stop: int, form: RecordForm, n_least: int = 2) -> bool:
    """Whether the lines of a record look like rows of their own, so that its quote is a stray one.

    They do when each has the fields of a row and numbers in all columns in which the first line has
    some. Where that has none, many lines with the fields of a row are needed.

    Args:
        text: Text that holds the record.
        start: Where the record begins.
        stop: Where it ends, or as far as it is known.
        form: How a row looks.
        n_least: Number of lines that must be known.
    """
    rows: list[list[bytes]] = []
    while len(rows) < LINES_COMPARED and (end := text.find(NEWLINE, start, stop)) >= 0:
        rows.append(text[start:end].split(form.delimiter))
        start = end + 1
    if len(rows) < n_least or any(len(row) != form.n_fields for row in rows):
        return False
    numbers = [column for column, field in enumerate(rows[0]) if _is_number(field)]
    if not numbers:
        return (len(rows) - 1) * (form.n_fields - 1) >= LINES_COMPARED // 2
    return all(_is_number(row[column]) for row in rows[1:] for column in numbers)


def _is_number(field: bytes) -> bool:
    """Whether a field holds a number, or a date and time."""
    bare = field.strip()
    return bare[:1] in b"+-.0123456789" and bare != b"" and not bare.translate(None, NUMBER_BYTES)
