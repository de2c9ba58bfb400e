"""Accounting of rows: how many came in, how many were refused or dropped, where and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from hsrl_pipeline.errors import UserError

OnBadRows = Literal["error", "drop"]

MALFORMED = "wrong number of fields"
UNCLOSED_QUOTE = "quote is not closed"
TEXT_BEHIND_QUOTE = "text behind a closing quote"
REASONS_TOLD = 5


@dataclass(frozen=True)
class BadRows:
    """Rows that share a defect, with the first of them as an example.

    Attributes:
        reason: The defect in a few words, for example ``"rating is not a number"``.
        count: Number of rows with it, at least 1.
        file: Name of the file it was first seen in.
        line: Line of the first such row in that file, from 1; None where lines have no meaning.
        column: Column at fault; None when the whole line is.
        example: Offending text of the first such row, shortened.
    """

    reason: str
    count: int
    file: str
    line: int | None = None
    column: str | None = None
    example: str | None = None

    def place(self) -> str:
        """Return file, line and column in words."""
        parts = [self.file]
        if self.line is not None:
            parts.append(f"line {self.line}")
        if self.column is not None:
            parts.append(f"column {self.column}")
        return ", ".join(parts)


@dataclass(frozen=True)
class RowAccounts:
    """What happened to the rows of a log, or of its other files, on their way in.

    ``rows_in`` is the sum of ``rows_out``, ``rows_dropped`` and ``repeated``: each row is counted
    once. A blank line is no row.

    Attributes:
        rows_in: Rows read from the raw files.
        rows_out: Rows kept.
        repeated: Rows left out because an earlier row has the same id, which is no defect.
        bad: Defects, each with its count.
        notes: Counts worth knowing that cost no row, for example items without features.
    """

    rows_in: int = 0
    rows_out: int = 0
    repeated: int = 0
    bad: tuple[BadRows, ...] = ()
    notes: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows_dropped(self) -> int:
        """Number of rows with a defect."""
        return sum(defect.count for defect in self.bad)

    def merged(self, other: RowAccounts) -> RowAccounts:
        """Return the accounts of two parts of a log together; the first example of each wins."""
        defects: dict[tuple[str, str | None], BadRows] = {}
        for defect in (*self.bad, *other.bad):
            key = (defect.reason, defect.column)
            earlier = defects.get(key)
            defects[key] = (
                replace(earlier, count=earlier.count + defect.count) if earlier else defect
            )
        names = [*self.notes, *(name for name in other.notes if name not in self.notes)]
        return RowAccounts(
            rows_in=self.rows_in + other.rows_in,
            rows_out=self.rows_out + other.rows_out,
            repeated=self.repeated + other.repeated,
            bad=tuple(defects.values()),
            notes={name: self.notes.get(name, 0) + other.notes.get(name, 0) for name in names},
        )

    def settle(self, on_bad_rows: OnBadRows) -> RowAccounts:
        """Return the accounts, or refuse the log when bad rows are not to be dropped.

        Raises:
            UserError: There are bad rows and ``on_bad_rows`` is ``"error"``.
        """
        if on_bad_rows == "error" and self.bad:
            raise refusal(self.bad)
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the accounts as a JSON-able dictionary."""
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "repeated": self.repeated,
            "bad": [asdict(defect) for defect in self.bad],
            "notes": dict(self.notes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RowAccounts:
        """Return the accounts held in a dictionary as `to_dict` makes it."""
        return cls(
            rows_in=values["rows_in"],
            rows_out=values["rows_out"],
            repeated=values.get("repeated", 0),
            bad=tuple(BadRows(**defect) for defect in values["bad"]),
            notes=dict(values["notes"]),
        )


def refusal(bad: Iterable[BadRows]) -> UserError:
    """Return the one message that refuses a log with bad rows: the first, and all counts."""
    defects = list(bad)
    first = defects[0]
    shown = f": {first.example!r}" if first.example is not None else ""
    counts = "; ".join(f"{defect.count} x {defect.reason}" for defect in defects)
    return UserError(
        f"{first.reason}{shown}",
        where=first.place(),
        remedy=(
            f"Found in all: {counts}. {_hint(defects)}Correct the file, or set "
            "ingestion.on_bad_rows to drop: such rows are then left out and counted in the "
            "data-quality report."
        ),
    )


def describe_losses(accounts: RowAccounts) -> str:
    """Return what rows were dropped for, each reason with its count and first example."""
    ordered = sorted(accounts.bad, key=lambda defect: -defect.count)
    told = [
        f"{defect.count} x {defect.reason} ({defect.place()}"
        + (f": {defect.example!r})" if defect.example is not None else ")")
        for defect in ordered[:REASONS_TOLD]
    ]
    if len(ordered) > REASONS_TOLD:
        told.append(f"and {len(ordered) - REASONS_TOLD} more reasons")
    return "; ".join(told)


def nothing_left(what: str, accounts: RowAccounts, *, where: str | None = None) -> UserError:
    """Return the message that refuses input of which no row is left.

    Args:
        what: What is wrong, in one sentence without its full stop.
        accounts: Rows in, and what they were dropped for.
        where: Parameter or file at fault; None for the place of the first bad row.
    """
    if not accounts.bad:
        return UserError(
            f"{what}: there is no row",
            where=where,
            remedy="Check the raw files, their columns and the date.",
        )
    return UserError(
        f"{what}: of {accounts.rows_in} rows {accounts.rows_dropped} are bad",
        where=where or accounts.bad[0].place(),
        remedy=(
            f"Reasons: {describe_losses(accounts)}. {_hint(accounts.bad)}Correct the files or the "
            "parameters that describe them."
        ),
    )


def _hint(bad: Iterable[BadRows]) -> str:
    """Return what to try where quotes are at fault."""
    if any(defect.reason in (UNCLOSED_QUOTE, TEXT_BEHIND_QUOTE) for defect in bad):
        return (
            "Where quotes are part of the text, tabular files are read with "
            "ingestion.tabular.quoting: false. "
        )
    return ""
