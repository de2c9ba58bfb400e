"""Text files that hold one row of numbers per person or item, judged row by row.

Such a file is small and wide; a number stands for its column, so that a row with a field too few
or too many can't be used at all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.data.accounts import BadRows, RowAccounts, nothing_left
from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.data.sources.raw_files import decode_text
from hsrl_pipeline.errors import UserError


class NumberMatrix:
    """Good rows of a file of numbers; each check leaves out the rows that fail it and counts them.

    Args:
        name: Name of the file, for messages.
        values: (row, column) float64. The numbers.
        lines: (row,) int64. Line of each row in the file, from 1.
        n_lines: Rows of the file, bad ones counted.
        bad: Rows that were left out before.
    """

    def __init__(
        self,
        name: str,
        values: NDArray[np.float64],
        lines: NDArray[np.int64],
        n_lines: int,
        bad: list[BadRows],
    ) -> None:
        self.name = name
        self.values = values
        self.lines = lines
        self.n_lines = n_lines
        self._bad = bad

    @property
    def accounts(self) -> RowAccounts:
        """Rows in and out, and rows left out."""
        return RowAccounts(self.n_lines, len(self.lines), bad=tuple(self._bad))

    def refuse(self, wrong: NDArray[np.bool_], reason: str) -> None:
        """Leave out every row with a wrong number and count these rows under a reason.

        Args:
            wrong: (row, column) bool. True where a number is wrong.
            reason: The defect in a few words.
        """
        rows = wrong.any(axis=1)
        if not rows.any():
            return
        first = int(rows.argmax())
        column = int(wrong[first].argmax())
        self._bad.append(
            BadRows(
                reason,
                int(rows.sum()),
                self.name,
                int(self.lines[first]),
                str(column + 1),
                f"{self.values[first, column]:g}",
            )
        )
        self.values, self.lines = self.values[~rows], self.lines[~rows]

    def require_range(
        self, low: float, high: float, name: str, *, none: float | None = None, first: int = 0
    ) -> None:
        """Leave out rows with a number outside a range, and turn ``none`` into NaN.

        Args:
            low: Smallest allowed number.
            high: Largest allowed number.
            name: What the numbers are, for messages.
            none: Number that stands for no value; None when every field has one.
            first: First column that the range holds for, from 0.
        """
        numbers = self.values[:, first:]
        absent = np.zeros(numbers.shape, bool) if none is None else numbers == none
        wrong = np.zeros(self.values.shape, bool)
        wrong[:, first:] = ((numbers < low) | (numbers > high)) & ~absent
        self.refuse(wrong, f"{name} is outside {low:g} to {high:g}")
        if none is not None:
            numbers = self.values[:, first:]
            numbers[numbers == none] = np.nan

    def require_whole(self, name: str) -> None:
        """Leave out rows with a number that is not whole; call it name in messages."""
        self.refuse(self.values % 1 > 0, f"{name} is not a whole number")

    def require_rows(self) -> None:
        """Refuse a file of which no row is good.

        Raises:
            UserError: Names the defects.
        """
        if not len(self.lines):
            raise nothing_left(f"{self.name} holds no good row", self.accounts)


def read_numbers(
    path: Path, remedy: str, *, width: int | None = None, delimiter: str | None = None
) -> NumberMatrix:
    """Return the rows of a file without header.

    Args:
        path: Text file, one row per line.
        remedy: What to do when the file is missing or empty.
        width: Numbers that a row must have; None: as many as most rows have.
        delimiter: Text between numbers; None for any white space.

    Returns:
        The rows that are whole and all of numbers; the others are in the accounts.

    Raises:
        UserError: The file is missing, empty or not text, or no row is good.
    """
    rows = [line.split(delimiter) if line.strip() else [] for line in _lines(path, remedy)]
    if width is None:
        widths = [len(row) for row in rows]
        width = max(sorted(set(widths)), key=widths.count)
    values: list[list[float]] = []
    lines: list[int] = []
    ragged: list[tuple[int, int]] = []
    unreadable: list[tuple[int, int, str]] = []
    for number, row in enumerate(rows, start=1):
        if len(row) != width or not row:
            ragged.append((number, len(row)))
            continue
        parsed = [_number(field) for field in row]
        if None in parsed:
            column = parsed.index(None)
            unreadable.append((number, column + 1, row[column]))
            continue
        values.append([x for x in parsed if x is not None])
        lines.append(number)
    bad = []
    if ragged:
        line, found = ragged[0]
        reason = f"row does not have {width} numbers"
        bad.append(BadRows(reason, len(ragged), path.name, line, example=f"{found} fields"))
    if unreadable:
        line, column, field = unreadable[0]
        reason = "field is not a number"
        bad.append(BadRows(reason, len(unreadable), path.name, line, str(column), field[:80]))
    matrix = NumberMatrix(
        path.name,
        np.array(values, np.float64).reshape(len(values), width),
        np.array(lines, np.int64),
        len(rows),
        bad,
    )
    matrix.require_rows()
    return matrix


def draft_from_frame(events: pd.DataFrame, workspace: Path) -> Callable[[Engine], ibis.Table]:
    """Return the builder of a draft of events that were cut from matrices.

    Args:
        events: Columns of a draft, see `hsrl_pipeline.data.sources.source_log.SourceLog`.
        workspace: Scratch folder.
    """
    path = workspace / "matrix-events.parquet"
    events.to_parquet(path, index=False)
    return lambda engine: engine.read(path)


def find_file(raw_folder: Path, dataset: str, member: str, remedy: str) -> Path:
    """Return the path of an official file.

    Raises:
        UserError: It is missing.
    """
    path = raw_folder / dataset / member
    if not path.is_file():
        raise UserError(
            f"The raw data of {dataset} is incomplete: there is no {member}",
            where=str(path),
            remedy=remedy,
        )
    return path


def read_whole_text(path: Path, remedy: str) -> str:
    """Return a small text file whole.

    Raises:
        UserError: The file is empty or not UTF-8 text.
    """
    data = path.read_bytes()
    if not data.strip():
        raise UserError(f"{path.name} is empty", where=str(path), remedy=remedy)
    return decode_text(data, path.name, remedy).removeprefix("\ufeff")


def _lines(path: Path, remedy: str) -> list[str]:
    return read_whole_text(path, remedy).rstrip().replace("\r\n", "\n").split("\n")


def _number(field: str) -> float | None:
    try:
        number = float(field)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
