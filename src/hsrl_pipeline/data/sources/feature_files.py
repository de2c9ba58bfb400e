"""Small files of item and user features: read as text, judged field by field, accounted for."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hsrl_pipeline.data.accounts import BadRows, RowAccounts
from hsrl_pipeline.data.engines.duckdb_engine import text_of_column
from hsrl_pipeline.data.engines.parquet_table import read_columns
from hsrl_pipeline.data.engines.text_landing import PLAIN_CSV, TextForm, land_csv
from hsrl_pipeline.data.ids import describe_defects, read_id_column
from hsrl_pipeline.data.sources.source_log import LINES_PER_FILE
from hsrl_pipeline.errors import UserError

NAN = ("nan", "NaN", "NAN")


class FeatureFile:
    """Rows of a feature file; each check leaves out the rows that fail it and counts them.

    Args:
        name: Name of the file, for messages.
        rows: Wanted columns as text, null where the field is empty; the index is the line.
        bad: Rows that were left out before.
        parts: Names of the parts, for messages, where several files make one. Then the index of
            the first part is the line, and each further part adds `LINES_PER_FILE` to it.
        typed: The columns as a file with types holds them, from line 1 on; ids are read from them.
    """

    def __init__(
        self,
        name: str,
        rows: pd.DataFrame,
        bad: Sequence[BadRows] = (),
        *,
        parts: Sequence[str] = (),
        typed: Mapping[str, pa.ChunkedArray] | None = None,
    ) -> None:
        self.name = name
        self.rows = rows
        self._parts = parts or (name,)
        self._bad = list(bad)
        self._rows_in = len(rows) + sum(defect.count for defect in bad)
        self._repeated = 0
        self._typed = dict(typed or {})
        self._notes: dict[str, int] = {}

    @property
    def accounts(self) -> RowAccounts:
        """Rows in and out, rows left out and counts worth knowing."""
        return RowAccounts(
            rows_in=self._rows_in,
            rows_out=len(self.rows),
            repeated=self._repeated,
            bad=tuple(self._bad),
            notes=dict(self._notes),
        )

    def note(self, what: str, count: int) -> None:
        """Keep a count that costs no row."""
        self._notes[what] = self._notes.get(what, 0) + count

    def refuse(self, wrong: pd.Series[bool], reason: str, column: str) -> None:
        """Leave out rows and count them under a reason.

        Args:
            wrong: True for each row to leave out, aligned with `rows`.
            reason: The defect in a few words.
            column: Column at fault.
        """
        if not wrong.any():
            return
        first = self.rows.index[wrong][0]
        example = self.rows.loc[first, column]
        part, line = divmod(int(first), LINES_PER_FILE)
        self._bad.append(
            BadRows(
                reason,
                int(wrong.sum()),
                self._parts[part],
                line,
                column,
                None if pd.isna(example) else str(example)[:80],
            )
        )
        self.rows = self.rows[~wrong]

    def read_ids(self, column: str, *, numeric: bool = False) -> None:
        """Give ids the text that the log gives them; leave out rows without a usable id.

        Args:
            column: Column of the id.
            numeric: True when ids must be whole numbers of at most 18 digits.
        """
        lines: pd.Index[Any]
        if column in self._typed:
            given, lines = self._typed[column], pd.RangeIndex(1, len(self._typed[column]) + 1)
        else:
            texts = pa.array(self.rows[column], pa.string(), from_pandas=True)
            given, lines = pa.chunked_array([texts]), self.rows.index
        ids, defects = read_id_column(given, column, numeric=numeric)
        ids.index = defects.index = lines
        self.refuse(ids[self.rows.index].isna(), f"{column} is missing", column)
        for code, reason in describe_defects(column, numeric=numeric).items():
            self.refuse(defects[self.rows.index] == code, reason, column)
        ids = ids[self.rows.index]
        if pa.types.is_string(given.type) and (rewritten := int((ids != self.rows[column]).sum())):
            self.note(f"ids of {self.name} with spaces around them or .0 behind", rewritten)
        self._replace(column, ids)

    def check_ids(self, column: str, *, numeric: bool = False) -> None:
        """Read ids as `read_ids` does; of rows that share an id the first stays.

        Args:
            column: Column of the id.
            numeric: True when ids must be whole numbers of at most 18 digits.
        """
        self.read_ids(column, numeric=numeric)
        repeated = self.rows[column].duplicated()
        if repeated.any():
            self._repeated += int(repeated.sum())
            self.note(f"rows of {self.name} that repeat a {column}", int(repeated.sum()))
            self.rows = self.rows[~repeated]

    def check_number(
        self, column: str, *, low: float = -np.inf, high: float = np.inf, name: str | None = None
    ) -> None:
        """Turn a column into numbers, NaN where empty; leave out rows that hold something else.

        Args:
            column: Column to convert.
            low: Smallest allowed number.
            high: Largest allowed number.
            name: Name of the quantity in messages; None: the column's.
        """
        name = name or column
        text = self.rows[column]
        text = text.mask(text.isin(NAN), None)
        numbers = pd.to_numeric(text, errors="coerce").astype(np.float64)
        unreadable = (text.notna() & numbers.isna()) | np.isinf(numbers)
        self.refuse(unreadable, f"{name} is not a number", column)
        numbers = numbers[~unreadable]
        outside = (numbers < low) | (numbers > high)
        self.refuse(outside, f"{name} is outside {low:g} to {high:g}", column)
        self._replace(column, numbers[~outside])

    def _replace(self, column: str, values: pd.Series) -> None:
        rows = self.rows.copy()
        rows[column] = values  # assign() takes no column called self
        self.rows = rows


def read_feature_text(
    path: Path | Sequence[Path],
    columns: Mapping[str, str],
    workspace: Path,
    *,
    form: TextForm = PLAIN_CSV,
    names: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
) -> FeatureFile:
    """Return columns of a delimited file, or of several that make one.

    Args:
        path: Delimited file, or all parts of one.
        columns: Name to give to each wanted column, and its name in the file.
        workspace: Scratch folder.
        form: How the text is written.
        names: Names of all columns of a file without header; None when its first line names them.
        labels: What to call the parts in messages; None for their names.

    Raises:
        UserError: The file is missing, empty, in another encoding, or lacks a wanted column.
    """
    paths = [path] if isinstance(path, Path) else list(path)
    labels = [part.name for part in paths] if labels is None else list(labels)
    target = workspace / f"features-{paths[0].name}.parquet"
    # names that no column of the landed file has, whatever the user calls theirs
    fields = {f"field {place}": raw for place, raw in enumerate(columns.values())}
    land_csv(paths, target, fields, form, names=names, labels=labels)
    landed = pq.read_table(target).to_pandas()
    target.unlink()
    if "file_order" in landed:
        landed["line"] += landed.pop("file_order") * LINES_PER_FILE
    landed = landed.set_index("line")
    unread = landed[landed["reason"].notna()].sort_index()
    bad = []
    for reason, texts in unread.groupby("reason", sort=False)["raw"]:
        part, line = divmod(int(texts.index[0]), LINES_PER_FILE)
        example = str(texts.iloc[0])[:80]
        bad.append(BadRows(str(reason), len(texts), labels[part], line, example=example))
    rows = landed.loc[landed["reason"].isna(), list(fields)].astype(object)
    rows.columns = pd.Index(list(columns), dtype=object)
    return FeatureFile(paths[0].name, rows.where(rows.notna(), None), bad, parts=labels)


def read_feature_parquet(
    path: Path,
    columns: Mapping[str, str],
    lists: Collection[str] = (),
    *,
    ids: Collection[str] = (),
) -> FeatureFile:
    """Return columns of a parquet file as text, with row numbers from 1 as lines.

    Args:
        path: A file, a folder or a pattern with ``*``; files count in the order of their paths.
        columns: Name to give to each wanted column, and its name in the file.
        lists: Names in the file of columns that may hold lists; these come as lists of text.
        ids: Names in the file of columns that are ids.

    Raises:
        UserError: The file is missing, is no parquet, lacks a wanted column, or a column holds what
            is neither text nor number.
    """
    table = read_columns(path, columns.values(), lists, ids)
    typed = {name: table[raw] for name, raw in columns.items()}
    rows = pd.DataFrame(
        {name: _as_text(path, columns[name], column) for name, column in typed.items()},
        dtype=object,
    )
    rows.index = pd.RangeIndex(1, len(rows) + 1, name="line")
    return FeatureFile(path.name, rows.where(rows.notna(), None), typed=typed)


def _as_text(path: Path, name: str, column: pa.ChunkedArray) -> pd.Series:
    """Return a column of a parquet file as text or lists of text; bytes as `text_of_bytes` does."""
    kind = column.type
    if pa.types.is_list(kind):
        return pd.Series(column.to_pylist(), dtype=object)
    if not (pa.types.is_string(kind) or pa.types.is_primitive(kind)):
        column = text_of_column(column)
    try:
        return pd.Series(column.cast(pa.string()).to_pandas())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UserError(
            f"The column {name!r} holds {kind} that can't be read as text: {error}",
            where=str(path),
            remedy="Write it as UTF-8 text or as numbers.",
        ) from error


def mark_names(prefix: str, lists: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Return one 0/1 column for each name that occurs, sorted by name.

    Args:
        prefix: What the columns' names begin with.
        lists: Names of each row.

    Returns:
        ``(row, name)`` float32 frame with the index 0, 1, ...
    """
    slugs = [[slug(name) for name in names] for names in lists]
    vocabulary = sorted({name for names in slugs for name in names if name})
    place = {name: column for column, name in enumerate(vocabulary)}
    marks = np.zeros((len(slugs), len(vocabulary)), np.float32)
    for row, names in enumerate(slugs):
        for name in names:
            if name:
                marks[row, place[name]] = 1.0
    return pd.DataFrame(marks, columns=[f"{prefix}{name}" for name in vocabulary])


def slug(name: str) -> str:
    """Return a name in lower case with everything but letters and digits as one underscore."""
    return re.sub(r"[^\w]+", "_", name.lower()).strip("_")
