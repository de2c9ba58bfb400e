"""Text logs to parquet, unparsed: every field a string, every row with the line it stood on.

Downloads are text on one machine; from here on each engine reads the same parquet, so what a line
means can't depend on the engine.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from hsrl_pipeline.data.accounts import MALFORMED
from hsrl_pipeline.data.engines.record_walk import NEWLINE, RecordForm, walk_record
from hsrl_pipeline.data.engines.text_blocks import locate_undecodable, require_content, utf8_blocks
from hsrl_pipeline.data.engines.text_records import BadLine, Records, iterate_records
from hsrl_pipeline.errors import UserError

STAND_INS = b"\x1f\x1e\x1d\x1c\x01\x02\x03\x04\x05\x06\x07\x08"
"""Control characters; one that a piece does not hold stands there for a longer separator."""
HEADER_BYTES = 1 << 20
SHOWN = 1000


@dataclass(frozen=True)
class TextForm:
    """How delimited text is written.

    Attributes:
        separator: Text between two fields; one ASCII character where fields may be quoted.
        encoding: Encoding of the text.
        quoted: Whether a double quote at the start of a field quotes it.
    """

    separator: str = ","
    encoding: str = "utf-8"
    quoted: bool = True


PLAIN_CSV = TextForm()


@dataclass(frozen=True)
class Header:
    """The row that names the columns.

    Attributes:
        names: Names of the columns.
        n_lines: Lines up to its end, blank ones before it counted; 0 where there is none.
        n_bytes: Bytes up to its end, as UTF-8.
    """

    names: tuple[str, ...]
    n_lines: int = 0
    n_bytes: int = 0


@dataclass(frozen=True)
class _TextFile:
    """A file and how to read it.

    Attributes:
        path: The file.
        label: What to call it in messages.
        columns: Name to give to each wanted column, and its name in the file.
        form: How the text is written.
        header: Its columns.
    """

    path: Path
    label: str
    columns: Mapping[str, str]
    form: TextForm
    header: Header


def land_csv(
    paths: Sequence[Path],
    target: Path,
    columns: Mapping[str, str],
    form: TextForm,
    *,
    names: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
) -> Path:
    """Write the wanted columns of delimited files as text.

    What a row is, and what becomes of quotes and blank lines, is told in
    `hsrl_pipeline.data.engines.text_records`.

    Args:
        paths: The files. Of several, those without any row may lack a header.
        target: Parquet file to write, with the columns ``line`` (from 1, header counted), the keys
            of ``columns``, ``reason`` and ``raw``; of several files also ``file_order``, the place
            in ``paths``. A row that can't be read has nulls, a reason and the text of its first
            line; such rows stand after all others of their file.
        columns: Name to give to each wanted column, and its name in the files. Columns are found
            by name, whatever their order in a file.
        form: How the text is written.
        names: Names of all columns of files without header; None when their first row names them.
        labels: What to call the files in messages; None for their names.

    Returns:
        ``target``.

    Raises:
        UserError: A file is missing, empty, damaged, in another encoding, or lacks a wanted column.
    """
    several = len(paths) > 1
    texts = [(name, pa.string()) for name in (*columns, "reason", "raw")]
    order = [("file_order", pa.int64())] if several else []
    schema = pa.schema([("line", pa.int64()), *texts, *order])
    with pq.ParquetWriter(target, schema, use_dictionary=False, compression="none") as writer:
        for place, path in enumerate(paths):
            label = path.name if labels is None else labels[place]
            require_content(path, label)
            header = Header(tuple(names or ()))
            if names is None:
                found = read_header(path, form, label)
                if found is None and several:
                    continue
                header = _require_columns(path, label, found, columns.values(), form.separator)
            for table in _land(_TextFile(path, label, columns, form, header)):
                completed = table
                if several:
                    numbers = pa.array(np.full(len(table), place, np.int64))
                    completed = table.append_column("file_order", numbers)
                writer.write_table(_completed(completed, schema))
    return target


def read_header(path: Path, form: TextForm, label: str) -> Header | None:
    """Return the names in the first row of a file that is not blank; None when there is none.

    Args:
        path: Delimited file.
        form: How the text is written.
        label: What to call the file in messages.

    Raises:
        UserError: The file is damaged or in another encoding.
    """
    start = next(utf8_blocks(path, form.encoding, label, block_bytes=HEADER_BYTES), b"") + NEWLINE
    place = len(start) - len(start.lstrip())
    if place == len(start):
        return None
    place = start.rfind(NEWLINE, 0, place) + 1
    walk = walk_record(start, place, RecordForm(0, form.separator.encode(), form.quoted))
    if walk.outcome == "return":
        raise UserError(
            f"{label} has lines that end with a carriage return alone",
            where=f"{label}, line {start.count(NEWLINE, 0, place) + 1}",
            remedy="Save the file with line feeds at the ends of its lines.",
        )
    whole = walk.outcome == "whole"
    end = walk.end if whole else start.index(NEWLINE, place)
    try:
        text = start[place:end].decode().rstrip("\r")
    except UnicodeDecodeError:
        locate_undecodable(path, form.encoding, label)
        raise
    if form.quoted and whole:
        fields = next(csv.reader([text], delimiter=form.separator))
    else:
        fields = [name.strip().strip('"') for name in text.split(form.separator)]
    names = tuple(name.strip() for name in fields)
    return Header(names, start.count(NEWLINE, 0, end + 1), end + 1)


def _require_columns(
    path: Path, label: str, header: Header | None, wanted: Collection[str], separator: str
) -> Header:
    """Return the header, or refuse the file when the wanted columns are not clear from it."""
    if header is None:
        raise UserError(
            f"{label} holds nothing but blank lines",
            where=str(path),
            remedy="Replace it with the full file.",
        )
    where = f"{label}, line {header.n_lines}"
    missing = [name for name in wanted if name not in header.names]
    if missing:
        raise UserError(
            f"{label} has no column {', '.join(map(repr, missing))}; read with the separator "
            f"{separator!r} its columns are {', '.join(map(repr, header.names))}",
            where=where,
            remedy="Check the separator and the column names.",
        )
    repeated = [name for name in wanted if header.names.count(name) > 1]
    if repeated:
        raise UserError(
            f"{label} has more than one column {', '.join(map(repr, repeated))}",
            where=where,
            remedy="Give each column a name of its own.",
        )
    return header


def _land(file: _TextFile) -> Iterator[pa.Table]:
    """Yield tables of rows and at last, if there are any, of those that can't be read."""
    bad: list[BadLine] = []
    separator = file.form.separator.encode()
    form = RecordForm(len(file.header.names), separator, file.form.quoted)
    blocks = utf8_blocks(file.path, file.form.encoding, file.label)
    rows = _skip(blocks, file.header.n_bytes)
    for records in iterate_records(rows, form, file.header.n_lines + 1):
        bad += records.bad
        if records.text:
            yield _parse(records, file, bad)
    if bad:
        yield pa.table(
            {
                "line": pa.array([line.line for line in bad], pa.int64()),
                "reason": pa.array([line.reason for line in bad], pa.string()),
                "raw": pa.array([line.text for line in bad], pa.string()),
            }
        )


def _parse(records: Records, file: _TextFile, bad: list[BadLine]) -> pa.Table:
    """Return the wanted fields of records; those of another number of fields join the bad."""
    malformed: list[int] = []
    text, delimiter = records.text, file.form.separator
    if len(delimiter) > 1:
        stand_in = next(byte for byte in STAND_INS if byte not in text)
        text, delimiter = text.replace(delimiter.encode(), bytes([stand_in])), chr(stand_in)

    def skip(row: pa_csv.InvalidRow) -> str:
        malformed.append(row.number - 1)
        line = int(records.lines[row.number - 1])
        bad.append(
            BadLine(line, MALFORMED, row.text.replace(delimiter, file.form.separator)[:SHOWN])
        )
        return "skip"

    places = {name: str(file.header.names.index(raw)) for name, raw in file.columns.items()}
    every = [str(place) for place in range(len(file.header.names))]
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(text),
            read_options=pa_csv.ReadOptions(
                use_threads=False,  # places of malformed rows exist only in sequence
                block_size=len(text) + 1,
                column_names=every,
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if file.form.quoted else False,
                newlines_in_values=records.spans_lines,
                ignore_empty_lines=False,
                invalid_row_handler=skip,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(every, pa.string()),
                include_columns=list(dict.fromkeys(places.values())),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        locate_undecodable(file.path, file.form.encoding, file.label)
        raise UserError(
            f"{file.label} can't be read as text with fields separated by "
            f"{file.form.separator!r}: {error}",
            where=str(file.path),
            remedy="Check separator, quotes and encoding.",
        ) from error
    fields = {name: pc.utf8_trim_whitespace(table[place]) for name, place in places.items()}
    return pa.table({"line": pa.array(np.delete(records.lines, malformed)), **fields})


def _skip(blocks: Iterable[bytes], n_bytes: int) -> Iterator[bytes]:
    """Yield the text behind its first bytes."""
    for block in blocks:
        if n_bytes < len(block):
            yield block[n_bytes:] if n_bytes else block
        n_bytes = max(0, n_bytes - len(block))


def _completed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with all columns of the schema; those it lacks are null."""
    for field in schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(schema.names).cast(schema)
