"""Small files of item and user features: read as text, judged field by field, accounted for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hsrl_pipeline.data.accounts import BadRows, RowAccounts
from hsrl_pipeline.data.engines.duckdb_engine import evaluate_column
from hsrl_pipeline.data.engines.text_landing import land_csv
from hsrl_pipeline.data.ids import describe_defects, read_id_column
from hsrl_pipeline.errors import UserError


class FeatureFile:
    """Rows of a feature file; each check leaves out the rows that fail it and counts them.

    Args:
        name: Name of the file, for messages.
        rows: Wanted columns as text, null where the field is empty; the index is the line.
        bad: Rows that were left out before.
        typed: The columns as a file with types holds them, from line 1 on; ids are read from them.
    """

    def __init__(
        self,
        name: str,
        rows: pd.DataFrame,
        bad: Sequence[BadRows] = (),
        typed: Mapping[str, pa.ChunkedArray] | None = None,
    ) -> None:
        self.name = name
        self.rows = rows
        self._bad = list(bad)
        self._typed = dict(typed or {})
        self._notes: dict[str, int] = {}

    @property
    def accounts(self) -> RowAccounts:
        """Rows left out and counts worth knowing."""
        return RowAccounts(bad=tuple(self._bad), notes=dict(self._notes))

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
        self._bad.append(
            BadRows(
                reason,
                int(wrong.sum()),
                self.name,
                int(first),
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
        self.rows = self.rows.assign(**{column: ids})

    def check_ids(self, column: str, *, numeric: bool = False) -> None:
        """Read ids as `read_ids` does; of rows that share an id the first stays.

        Args:
            column: Column of the id.
            numeric: True when ids must be whole numbers of at most 18 digits.
        """
        self.read_ids(column, numeric=numeric)
        repeated = self.rows[column].duplicated()
        if repeated.any():
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
        numbers = pd.to_numeric(text, errors="coerce").astype(np.float64)
        unreadable = (text.notna() & numbers.isna()) | np.isinf(numbers)
        self.refuse(unreadable, f"{name} is not a number", column)
        numbers = numbers[~unreadable]
        outside = (numbers < low) | (numbers > high)
        self.refuse(outside, f"{name} is outside {low:g} to {high:g}", column)
        self.rows = self.rows.assign(**{column: numbers[~outside]})


def read_feature_text(
    path: Path,
    columns: Mapping[str, str],
    workspace: Path,
    *,
    delimiter: str = ",",
    names: Sequence[str] | None = None,
    encoding: str = "utf-8",
) -> FeatureFile:
    """Return columns of a delimited file; blank lines are passed over.

    Args:
        path: Delimited file, optionally with double-quoted fields.
        columns: Name to give to each wanted column, and its name in the file.
        workspace: Scratch folder.
        delimiter: One character between fields.
        names: Names of all columns of a file without header; None when its first line names them.
        encoding: Encoding of the text.

    Raises:
        UserError: The file is missing, empty, in another encoding, or lacks a wanted column.
    """
    target = workspace / f"features-{path.name}.parquet"
    land_csv(path, target, columns, delimiter=delimiter, names=names, encoding=encoding)
    landed = pq.read_table(target).to_pandas().set_index("line")
    target.unlink()
    malformed = landed[landed["reason"].notna() & (landed["raw"].fillna("").str.strip() != "")]
    bad = []
    if len(malformed):
        first = malformed.iloc[0]
        bad.append(
            BadRows(
                str(first["reason"]),
                len(malformed),
                path.name,
                int(malformed.index[0]),
                example=str(first["raw"])[:80],
            )
        )
    rows = landed.loc[landed["reason"].isna(), list(columns)].astype(object)
    rows = rows[rows.notna().any(axis="columns")]
    return FeatureFile(path.name, rows.where(rows.notna(), None), bad)


def read_feature_parquet(path: Path, columns: Mapping[str, str]) -> FeatureFile:
    """Return columns of a parquet file as text, with row numbers from 1 as lines.

    Raises:
        UserError: The file is missing, is no parquet, or lacks a wanted column.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist", remedy="Place the file there.")
    try:
        present = (
            pq.read_schema(path).names if path.is_file() else pq.ParquetDataset(path).schema.names
        )
        missing = [name for name in columns.values() if name not in present]
        if missing:
            raise UserError(
                f"{path.name} has no column {', '.join(map(repr, missing))}; its columns are "
                f"{', '.join(map(repr, present))}",
                where=str(path),
                remedy="Correct the column names in the parameters.",
            )
        table = pq.read_table(path, columns=list(dict.fromkeys(columns.values())))
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path.name} can't be read as parquet: {error}",
            where=str(path),
            remedy="Replace the damaged file.",
        ) from error
    typed = {name: table[raw] for name, raw in columns.items()}
    rows = pd.DataFrame(
        {name: _as_text(column, name).to_pandas() for name, column in typed.items()}, dtype=object
    )
    rows.index = pd.RangeIndex(1, len(rows) + 1, name="line")
    return FeatureFile(path.name, rows.where(rows.notna(), None), typed=typed)


def _as_text(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return a column of a parquet file as text; bytes as `text_of_bytes` reads them.

    Raises:
        UserError: The column holds lists, structures or maps.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_nested(kind):
        raise UserError(
            f"The column {name!r} holds values of type {kind}, which are no texts",
            remedy="Write one text or number in each field; names of tags are separated by |.",
        )
    if pa.types.is_string(kind) or pa.types.is_primitive(kind):
        return column.cast(pa.string())
    return evaluate_column(column, lambda given: {"text": given.cast("string")})["text"]


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
