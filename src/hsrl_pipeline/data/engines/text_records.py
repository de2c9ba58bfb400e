r"""Delimited text cut into records before it is parsed, so that no quote can swallow other rows.

A line ends with ``\n`` or ``\r\n``. A field that begins with a double quote ends with the next
lone one, may hold delimiters and line ends, and writes a quote twice; a quote anywhere else is an
ordinary character. What breaks these rules costs the line on which it begins, and reading resumes
on the next. A blank line, empty or of white space alone, is no row.

Lines are checked by numpy on the bytes of a whole block. Only those on which a quoted field is not
whole, and the few other odd ones, are then read field by field.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.data.accounts import MALFORMED, TEXT_BEHIND_QUOTE, UNCLOSED_QUOTE
from hsrl_pipeline.data.engines.record_walk import (
    LINES_COMPARED,
    NEWLINE,
    QUOTE,
    RETURN,
    RecordForm,
    Walk,
    holds_rows,
    walk_record,
)

LONE_RETURN = "carriage return inside a row"
LONGEST_RECORD = 64 << 20
"""A record of more bytes is taken for one whose quote is not closed."""
SHOWN_BYTES = 1000


@dataclass(frozen=True)
class BadLine:
    """A line that begins no readable row.

    Attributes:
        line: Its number.
        reason: The defect in a few words.
        text: Its text, shortened.
    """

    line: int
    reason: str
    text: str


@dataclass(frozen=True)
class Records:
    r"""Records of one piece of a file.

    Attributes:
        text: The records, each with ``\n`` at its end.
        lines: (record,) int64. Line on which each begins.
        bad: Lines that are left out.
        spans_lines: Whether a record holds a line end.
        n_lines: Lines that were read.
        n_bytes: Bytes that were read.
    """

    text: bytes
    lines: NDArray[np.int64]
    bad: tuple[BadLine, ...]
    spans_lines: bool
    n_lines: int
    n_bytes: int


DEFECTS = {"tail": TEXT_BEHIND_QUOTE, "return": LONE_RETURN}


def iterate_records(
    blocks: Iterable[bytes], form: RecordForm, first_line: int
) -> Iterator[Records]:
    """Yield the records of a file piece by piece.

    Args:
        blocks: The text in pieces of any length; the first begins with a record.
        form: How a row looks.
        first_line: Line that the text begins with.
    """
    rest, line = b"", first_line
    for block in blocks:
        rest = rest + block if rest else block
        records = split_records(rest, form, line, at_end=False)
        if records.n_lines:
            yield records
            line += records.n_lines
            rest = rest[records.n_bytes :]
    if rest:
        yield split_records(rest, form, line, at_end=True)


def split_records(text: bytes, form: RecordForm, first_line: int, *, at_end: bool) -> Records:
    """Return the records at the start of a text.

    Args:
        text: Text that begins with a record.
        form: How a row looks.
        first_line: Line that the text begins with.
        at_end: Whether the file ends with it. Otherwise what follows the last whole record is
            left to be read again with more text behind it.
    """
    if at_end and not text.endswith(NEWLINE):
        text += NEWLINE
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == NEWLINE[0])
    starts = np.concatenate([np.zeros(min(len(ends), 1), np.int64), ends[:-1] + 1])
    begins = np.ones(len(ends), bool)
    edits: list[tuple[int, int]] = []  # what is left out of the text
    bad: list[BadLine] = []
    resume, spans_lines, n_lines = 0, False, len(ends)
    for line in np.flatnonzero(_odd_lines(text, starts, ends, form)).tolist():
        if line < resume:
            continue
        start, end = int(starts[line]), int(ends[line])
        resume = line + 1
        if _is_blank(text[start:end], form):
            begins[line] = False
            edits.append((start, end + 1))
            continue
        walk = walk_record(text, start, form)
        if not at_end and _goes_on(text, start, walk, form):
            n_lines = line
            break
        defect = _defect(text, start, end, walk, form)
        if defect is not None:
            begins[line] = False
            edits.append((start, end + 1))
            shown = text[start : min(end, start + SHOWN_BYTES)].rstrip(RETURN)
            bad.append(BadLine(first_line + line, defect, shown.decode(errors="replace")))
            continue
        if walk.end > end:
            spans_lines = True
            resume = int(np.searchsorted(ends, walk.end)) + 1
            begins[line + 1 : resume] = False
        if walk.end - walk.stop > 1:  # more than one carriage return before the line end
            edits.append((walk.stop, walk.end))
    n_bytes = int(ends[n_lines - 1]) + 1 if n_lines else 0
    return Records(
        text=_without(text, edits, n_bytes),
        lines=np.flatnonzero(begins[:n_lines]) + first_line,
        bad=tuple(bad),
        spans_lines=spans_lines,
        n_lines=n_lines,
        n_bytes=n_bytes,
    )


def _goes_on(text: bytes, start: int, walk: Walk, form: RecordForm) -> bool:
    """Whether more text is needed to tell what the record is."""
    if walk.outcome not in ("open", "cut") or len(text) - start > LONGEST_RECORD:
        return False
    return walk.outcome == "cut" or not holds_rows(text, start, len(text), form, LINES_COMPARED)


def _defect(text: bytes, start: int, end: int, walk: Walk, form: RecordForm) -> str | None:
    """Return what is wrong with the record that begins on a line; None if nothing is."""
    if walk.outcome != "whole":
        return DEFECTS[walk.outcome] if walk.stop <= end else UNCLOSED_QUOTE
    if walk.end <= end:
        return None  # a wrong number of fields shows when the line is parsed
    if walk.n_fields != form.n_fields:
        return MALFORMED
    return UNCLOSED_QUOTE if holds_rows(text, start, walk.end + 1, form) else None


def _is_blank(line: bytes, form: RecordForm) -> bool:
    return not line.strip(b" \t\r".replace(form.delimiter, b""))


def _odd_lines(
    text: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64], form: RecordForm
) -> NDArray[np.bool_]:
    """Mark lines that may be blank, hold a lone carriage return, or hold a quote out of place.

    Every other line is a record by itself.
    """
    odd = np.zeros(len(ends), bool)
    if not len(ends):
        return odd
    content = np.frombuffer(text, np.uint8, count=int(ends[-1]) + 1)
    odd |= _table(b"\n\r" + b" \t".replace(form.delimiter, b""))[content[starts]]
    if RETURN in text:
        returns = np.flatnonzero(content == RETURN[0])
        odd[np.searchsorted(ends, returns[content[returns + 1] != NEWLINE[0]])] = True
    if form.quoted and QUOTE in text:
        odd[_lines_with_odd_quotes(content, ends, form.delimiter)] = True
    return odd


def _lines_with_odd_quotes(
    content: NDArray[np.uint8], ends: NDArray[np.int64], delimiter: bytes
) -> NDArray[np.int64]:
    """Return lines on which not every quote opens, closes or doubles another in its place."""
    quotes = np.flatnonzero(content == QUOTE[0])
    before = np.searchsorted(quotes, ends)
    counts = np.diff(before, prepend=0)
    uneven = counts % 2 == 1
    if uneven.any():
        places = np.arange(len(quotes)) - np.repeat(before - counts, counts)  # within their line
        opening, closing = quotes[places % 2 == 0], quotes[places % 2 == 1]
    else:
        opening, closing = quotes[::2], quotes[1::2]
    # the content ends with a line end, which also stands in front of its very first byte
    opens = _table(delimiter + NEWLINE + QUOTE)[content[opening - 1]]
    closes = _table(delimiter + NEWLINE + QUOTE + RETURN)[content[closing + 1]]
    wrong = np.concatenate([opening[~opens], closing[~closes]])
    return np.concatenate([np.searchsorted(ends, wrong), np.flatnonzero(uneven)])


def _table(members: bytes) -> NDArray[np.bool_]:
    """Return, for each byte, whether it is one of those given."""
    table = np.zeros(256, bool)
    table[list(members)] = True
    return table


def _without(text: bytes, cuts: list[tuple[int, int]], stop: int) -> bytes:
    """Return the text up to a place without the pieces that are cut out."""
    if not cuts:
        return text[:stop]
    pieces, place = [], 0
    for start, end in cuts:
        pieces.append(text[place:start])
        place = end
    return b"".join([*pieces, text[place:stop]])
