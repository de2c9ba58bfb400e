"""Text logs to parquet, unparsed: every field a string, every row with the line it stood on.

Downloads are text on one machine; from here on each engine reads the same parquet, so what a line
means can't depend on the engine.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hsrl_pipeline.data.engines.text_blocks import (
    BLOCK_BYTES,
    decode,
    locate_undecodable,
    require_content,
    whole_line_blocks,
)
from hsrl_pipeline.errors import UserError

UNIT_SEPARATOR = b"\x1f"
MALFORMED = "wrong number of fields"


def land_fields(
    path: Path,
    target: Path,
    columns: Sequence[str],
    *,
    separator: str,
    encoding: str = "utf-8",
) -> Path:
    r"""Write the fields of a file without header or quotes, split at a separator of any length.

    Args:
        path: Text file with ``\n`` or ``\r\n`` line ends.
        target: Parquet file to write, with the columns ``line`` (from 1), ``columns``, ``reason``
            and ``raw``. A line with another number of fields has nulls, a reason and its text; such
            lines stand after all others.
        columns: Names of all fields, in order.
        separator: Text between two fields.
        encoding: Encoding of the text.

    Returns:
        ``target``.

    Raises:
        UserError: The file is missing, empty or in another encoding.
    """
    require_content(path)
    wanted = {name: name for name in columns}
    layout = _Layout(list(columns), wanted, 1, separator, quoted=False, encoding=encoding)
    if len(separator) == 1:
        return _land(path, path, target, layout)
    with NamedTemporaryFile(dir=target.parent) as single:
        for block in whole_line_blocks(path):
            single.write(block.replace(separator.encode(encoding), UNIT_SEPARATOR) + b"\n")
        single.flush()
        return _land(path, Path(single.name), target, layout)


def land_csv(
    path: Path,
    target: Path,
    columns: Mapping[str, str],
    *,
    delimiter: str = ",",
    names: Sequence[str] | None = None,
    encoding: str = "utf-8",
) -> Path:
    """Write the wanted columns of a quoted, delimited file as text.

    Args:
        path: Delimited file, optionally with double-quoted fields.
        target: Parquet file to write, with the columns ``line`` (from 1, header counted), the keys
            of ``columns``, ``reason`` and ``raw``. A line with another number of fields has nulls,
            a reason and its text; such lines stand after all others.
        columns: Name to give to each wanted column, and its name in the file.
        delimiter: One character between fields.
        names: Names of all columns of a file without header; None when its first line names them.
        encoding: Encoding of the text.

    Returns:
        ``target``.

    Raises:
        UserError: The file is missing, empty, in another encoding, or lacks a wanted column.
    """
    require_content(path)
    header = list(names) if names is not None else _header(path, delimiter, encoding)
    _require_columns(path.name, header, columns.values(), delimiter)
    first_line = 1 if names is not None else 2
    layout = _Layout(header, columns, first_line, delimiter, quoted=True, encoding=encoding)
    return _land(path, path, target, layout)


@dataclass(frozen=True)
class _Layout:
    """How a delimited file is to be read."""

    names: list[str]
    columns: Mapping[str, str]
    first_line: int
    separator: str
    quoted: bool
    encoding: str

    @property
    def delimiter(self) -> str:
        """The one character between fields as pyarrow sees them."""
        return self.separator if len(self.separator) == 1 else UNIT_SEPARATOR.decode()

    @property
    def schema(self) -> pa.Schema:
        """Schema of the landed file."""
        text = [*self.columns, "reason", "raw"]
        return pa.schema([("line", pa.int64()), *((name, pa.string()) for name in text)])


def _land(path: Path, readable: Path, target: Path, layout: _Layout) -> Path:
    """Write the wanted fields of ``readable``; messages speak of ``path``."""
    malformed: list[pa_csv.InvalidRow] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        malformed.append(row)
        return "skip"

    try:
        reader = pa_csv.open_csv(
            readable,
            read_options=pa_csv.ReadOptions(
                use_threads=False,  # line numbers of malformed rows exist only in sequence
                block_size=BLOCK_BYTES,
                column_names=layout.names,
                skip_rows=layout.first_line - 1,
                encoding=layout.encoding,
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=layout.delimiter,
                quote_char='"' if layout.quoted else False,
                ignore_empty_lines=False,
                invalid_row_handler=skip,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(layout.names, pa.string()),
                include_columns=list(layout.columns.values()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        with pq.ParquetWriter(
            target, layout.schema, use_dictionary=False, compression="none"
        ) as writer:
            ordinal = 0
            for batch in reader:
                numbers = np.array([row.number for row in malformed], dtype=np.int64)
                lines = _lines_of(ordinal, batch.num_rows, layout.first_line, numbers)
                ordinal += batch.num_rows
                fields = {
                    name: pc.utf8_trim_whitespace(batch.column(raw))
                    for name, raw in layout.columns.items()
                }
                table = pa.table({"line": pa.array(lines), **fields})
                writer.write_table(_completed(table, layout.schema))
            if malformed:
                bad = _malformed_table(malformed, layout)
                writer.write_table(_completed(bad, layout.schema))
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        locate_undecodable(path, layout.encoding)
        raise UserError(
            f"{path.name} can't be read as text with fields separated by {layout.separator!r}: "
            f"{error}",
            where=str(path),
            remedy="Check separator, quotes and encoding.",
        ) from error
    return target


def _header(path: Path, delimiter: str, encoding: str) -> list[str]:
    with path.open("rb") as file:
        first = decode(file.readline().rstrip(b"\r\n"), encoding, path.name, 1)
    return [name.strip().strip('"') for name in first.removeprefix("\ufeff").split(delimiter)]


def _require_columns(
    file: str, header: Sequence[str], wanted: Collection[str], delimiter: str
) -> None:
    missing = [name for name in wanted if name not in header]
    if missing:
        raise UserError(
            f"{file} has no column {', '.join(map(repr, missing))}; read with the separator "
            f"{delimiter!r} its columns are {', '.join(map(repr, header))}",
            where=f"{file}, line 1",
            remedy="Check the separator and the column names.",
        )


def _completed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with all columns of the schema; those it lacks are null."""
    for field in schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(schema.names).cast(schema)


def _lines_of(
    ordinal: int, count: int, first_line: int, malformed: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the lines of good rows ``ordinal..ordinal+count``, given those of malformed rows."""
    goods = np.arange(ordinal, ordinal + count, dtype=np.int64) + first_line
    # the i-th malformed line has (its line - i) good lines up to it, numbered like `goods`
    thresholds = malformed - np.arange(len(malformed))
    return goods + np.searchsorted(thresholds, goods, side="right")


def _malformed_table(malformed: Sequence[pa_csv.InvalidRow], layout: _Layout) -> pa.Table:
    texts = [row.text.replace(layout.delimiter, layout.separator) for row in malformed]
    return pa.table(
        {
            "line": pa.array([row.number for row in malformed], pa.int64()),
            "reason": pa.repeat(pa.scalar(MALFORMED), len(malformed)),
            "raw": pa.array(texts, pa.string()),
        }
    )
