"""The parquet files of a log: which files count as data, and what their footers say."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from hsrl_pipeline.data.engines.part_names import files_below, match_paths
from hsrl_pipeline.errors import UserError

SUFFIXES = (".parquet", ".parq", ".pq")
MAGIC = b"PAR1"
PARTITION = re.compile(r"^([^=]+)=(.*)$")
ISO_DAY = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
BATCH_ROWS = 1 << 16


def find_parts(path: str | Path) -> list[Path]:
    """Return the parquet files of a log in the order of their paths.

    Below a folder, files count that have a name or a beginning of parquet. Administrative and
    unfinished files are left out, see `match_paths`.

    Args:
        path: A file, a folder, or a pattern of files or folders with ``*``.

    Raises:
        UserError: There is none.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    _, matches = match_paths(path)
    found: set[Path] = set()
    for match in matches:
        found.update(_parts_below(match) if match.is_dir() else [match])
    if not found:
        raise UserError(
            f"There is no parquet file at {path}",
            remedy="Correct the path in the parameters, or place the file there.",
        )
    return sorted(found, key=str)


def _parts_below(folder: Path) -> Iterator[Path]:
    for file in files_below(folder):
        if file.name.lower().endswith(SUFFIXES) or _begins_as_parquet(file):
            yield file


def _begins_as_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


@dataclass(frozen=True)
class ParquetPart:
    """One parquet file as its footer describes it.

    Attributes:
        path: The file.
        rows: Number of rows.
        schema: Names and types of its columns.
        label: Name of the file, for messages.
        order: Place among the parts of the log, from 0.
    """

    path: Path
    rows: int
    schema: pa.Schema
    label: str
    order: int

    @cached_property
    def folders(self) -> dict[str, str | None]:
        """Values of the partition folders ``name=value`` that the file lies in."""
        matches = [PARTITION.match(name) for name in self.path.parts[:-1]]
        pairs = {m.group(1): unquote(m.group(2)) for m in matches if m is not None}
        return {name: None if value == NO_VALUE else value for name, value in pairs.items()}

    def type_of(self, column: str) -> pa.DataType:
        """Return the type of a column's values; dictionaries count as what they stand for."""
        kind = self.schema.field(column).type
        return kind.value_type if pa.types.is_dictionary(kind) else kind

    def is_empty(self, column: str) -> bool:
        """Whether the statistics say that every value of a column is null."""
        metadata, leaf = self._leaf(column)
        for group in range(metadata.num_row_groups):
            chunk = metadata.row_group(group).column(leaf)
            statistics = chunk.statistics
            if statistics is None or statistics.null_count != chunk.num_values:
                return False
        return True

    def is_int96(self, column: str) -> bool:
        """Whether a time is stored in 96 bits, the form of old Spark and Hive."""
        metadata, leaf = self._leaf(column)
        return bool(metadata.schema.column(leaf).physical_type == "INT96")

    def _leaf(self, column: str) -> tuple[pq.FileMetaData, int]:
        """Return the footer, and the place of a column among its unnested columns."""
        metadata = pq.read_metadata(self.path)
        paths = [metadata.schema.column(k).path for k in range(metadata.num_columns)]
        return metadata, paths.index(column)


def describe_parts(paths: Sequence[Path], wanted: Collection[str]) -> list[ParquetPart]:
    """Return the parts of a log that have rows; an empty part decides nothing.

    Args:
        paths: The files.
        wanted: Columns that each part with rows must have, in the file or as a partition folder.

    Raises:
        UserError: A file is no parquet, lacks a column or has two of its name.
    """
    parts = []
    for order, path in enumerate(paths):
        try:
            with pq.ParquetFile(path) as file:
                rows, schema = file.metadata.num_rows, file.schema_arrow
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(
                f"{path} can't be read as parquet: {str(error).splitlines()[0]}",
                remedy="Replace the damaged file.",
            ) from error
        part = ParquetPart(path, rows, schema, path.name, order)
        if rows:
            _require_columns(part, wanted)
            parts.append(part)
    return parts


def foldered_columns(
    parts: Sequence[ParquetPart], columns: Mapping[str, str]
) -> dict[str, list[str | None]]:
    """Return the values, one a part, of columns that partition folders hold and not every file.

    Args:
        parts: Parts of the log.
        columns: Name to give to each wanted column, and its name in files or folders.

    Raises:
        UserError: Neither all files nor all folders hold a column.
    """
    found = {}
    for name, raw in columns.items():
        lacking = [part for part in parts if raw not in part.schema.names]
        if not lacking:
            continue
        elsewhere = [part for part in parts if raw not in part.folders]
        if elsewhere:
            raise UserError(
                f"The column {raw!r} is in {elsewhere[0].path}, and for {lacking[0].path} it is in "
                "the name of a folder",
                remedy="Write it into every file, or place every file in such a folder.",
            )
        found[name] = [part.folders[raw] for part in parts]
    return found


def seconds_of_days(values: Sequence[str | None]) -> list[str | None] | None:
    """Return days or times in ISO form as seconds since 1970 UTC, in digits.

    Returns:
        None when one of the values is something else.
    """
    seconds: list[str | None] = []
    for value in values:
        if value is None:
            seconds.append(None)
            continue
        if not ISO_DAY.match(value):
            return None
        try:
            moment = datetime.datetime.fromisoformat(value)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.timezone.utc)
        seconds.append(str(int(moment.timestamp() // 1)))
    return seconds


def _require_columns(part: ParquetPart, wanted: Collection[str]) -> None:
    present = part.schema.names
    missing = [name for name in wanted if name not in present and name not in part.folders]
    if missing:
        raise UserError(
            f"{part.path} has no column {', '.join(map(repr, missing))}; its columns are "
            f"{', '.join(map(repr, [*present, *part.folders]))}",
            remedy="Correct the column names in the parameters, or the file.",
        )
    twice = [name for name in dict.fromkeys(wanted) if present.count(name) > 1]
    if twice:
        raise UserError(
            f"{part.path} has more than one column {', '.join(map(repr, twice))}",
            remedy="Give each column of the file a name of its own.",
        )


def copy_columns(part: ParquetPart, names: Mapping[str, str], target: Path) -> ParquetPart:
    """Write columns of a part to a file of the workspace, row by row the same, under other names.

    Args:
        part: The part to copy.
        names: Name in the file of each column to keep, and its name in the copy.
        target: File to write.

    Returns:
        The part, its path being that of the copy.
    """
    wanted = list(dict.fromkeys(names)) or part.schema.names[:1]
    schema = pa.schema(
        [part.schema.field(name).with_name(names.get(name, name)) for name in wanted]
    )
    with pq.ParquetFile(part.path) as file, pq.ParquetWriter(target, schema) as writer:
        for batch in file.iter_batches(BATCH_ROWS, columns=wanted):
            arrays = [batch.column(batch.schema.get_field_index(name)) for name in wanted]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
    return ParquetPart(target, part.rows, schema, part.label, part.order)
