"""Where Ibis expressions run: embedded DuckDB or a Spark cluster, behind one small interface.

Both engines read the same parquet, run the same expressions and write the same single, ordered
parquet files; only how they open and write files differs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from hsrl_pipeline.data.engines.parquet_columns import ColumnRead, plan_reads
from hsrl_pipeline.data.engines.parquet_parts import (
    ParquetPart,
    copy_columns,
    describe_parts,
    find_parts,
    foldered_columns,
    seconds_of_days,
)
from hsrl_pipeline.data.engines.text_landing import PLAIN_CSV, TextForm, land_csv
from hsrl_pipeline.data.engines.text_of_bytes import text_of_bytes
from hsrl_pipeline.errors import UserError


class Engine(ABC):
    """Runs Ibis expressions and keeps their intermediate results in a scratch folder.

    Args:
        workspace: Existing scratch folder; on a cluster, one that every worker can reach.

    Attributes:
        helper_columns: Names in lower case that the engine adds to columns of parquet files.
    """

    backend: Any
    helper_columns: frozenset[str]

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self._numbers = count()

    def fresh_path(self, name: str) -> Path:
        """Return an unused path of the workspace."""
        return self.workspace / f"{name}-{next(self._numbers)}.parquet"

    def scan_fields(
        self, path: Path, columns: Sequence[str], *, separator: str, encoding: str = "utf-8"
    ) -> ibis.Table:
        """Return all fields of a file without header or quotes, as text, and ``reason``.

        The separator may be of any length. See `scan_csv` for columns and errors.
        """
        form = TextForm(separator, encoding, quoted=False)
        return self.scan_csv(path, {name: name for name in columns}, form=form, names=columns)

    def scan_csv(
        self,
        path: Path | Sequence[Path],
        columns: Mapping[str, str],
        *,
        form: TextForm = PLAIN_CSV,
        names: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
    ) -> ibis.Table:
        """Return columns of delimited files as text: ``file``, ``line``, those, and ``reason``.

        See `hsrl_pipeline.data.engines.text_landing.land_csv` for arguments, columns and errors.
        """
        paths = [path] if isinstance(path, Path) else list(path)
        labels = [part.name for part in paths] if labels is None else list(labels)
        target = self.fresh_path("fields")
        landed = land_csv(paths, target, columns, form, names=names, labels=labels)
        return self._labelled(landed, labels)

    def _labelled(self, landed: Path, labels: list[str]) -> ibis.Table:
        """Return landed rows with ``file`` and ``file_order``."""
        rows = self.read(landed)
        if len(labels) == 1:
            return rows.mutate(file=ibis.literal(labels[0]), file_order=_ZERO)
        places = ibis.memtable(
            {"file": labels, "place": list(range(len(labels)))},
            schema={"file": "string", "place": "int64"},
        )
        return rows.join(places, rows.file_order == places.place).drop("place")

    def scan_parquet(
        self,
        path: str | Path,
        columns: Mapping[str, str],
        *,
        times: Sequence[str] = (),
        ids: Sequence[str] = (),
    ) -> ibis.Table:
        """Return typed columns of parquet files: ``file``, ``file_order``, ``line`` and those.

        NaN comes out as null, bytes come out as text (see `text_of_bytes`), and so do UUIDs. Where
        the files hold a column in different types, it comes out in the narrowest type that changes
        no value. Values of partition folders such as ``day=1`` come as
        text, unless the files have the column themselves.

        Args:
            path: A file, a folder or a pattern with ``*``; see `find_parts` for what counts as
                data. Files count in the order of their paths.
            columns: Name to give to each wanted column, and its name in the files.
            times: Given names of columns that are times. Typed ones come as structs of ``seconds``
                since 1970 UTC (int64) and ``nanoseconds`` within the second (int64), because
                engines keep times in different resolutions.
            ids: Given names of columns that are ids. Where parts hold them in different types, a
                number that is no id has a mark behind it, which `read_ids` knows.

        Raises:
            UserError: Nothing is there, a file is no parquet, no file has a row, a wanted column is
                missing, or its types can't be brought together.
        """
        parts = describe_parts(find_parts(path), columns.values())
        if not parts:
            raise UserError(f"{path} holds no row", remedy="Bring a log with rows.")
        foldered = foldered_columns(parts, columns)
        stored = {name: raw for name, raw in columns.items() if name not in foldered}
        grouped: dict[tuple[ColumnRead, ...], list[ParquetPart]] = {}
        for part, plan in zip(parts, plan_reads(parts, stored, times=times, ids=ids), strict=True):
            readable, reads = self._distinct(part, tuple(plan.values()))
            grouped.setdefault(reads, []).append(readable)
        tables = [
            self._without_bytes(self._read_parts(group, dict(zip(stored, reads, strict=True))))
            for reads, group in grouped.items()
        ]
        rows = _stacked(tables, list(stored))
        if len(parts) == 1 and not foldered:
            return rows.mutate(file=ibis.literal(parts[0].label))
        places = _places(parts, foldered, times)
        joined = rows.join(places, rows.file_order == places.part_order).drop("part_order")
        return joined.select("file", "file_order", "line", *columns)

    def _without_bytes(self, table: ibis.Table) -> ibis.Table:
        """Return the rows with text for bytes and UUIDs."""
        texts = {
            name: text_of_bytes(table[name], self.decode)
            if kind.is_binary()
            else table[name].cast("string")
            for name, kind in table.schema().items()
            if kind.is_binary() or kind.is_uuid()
        }
        return table.mutate(**texts) if texts else table

    def _distinct(
        self, part: ParquetPart, reads: tuple[ColumnRead, ...]
    ) -> tuple[ParquetPart, tuple[ColumnRead, ...]]:
        """Return the part, as a copy where the engine can't tell names in it from each other."""
        lowered = [name.lower() for name in part.schema.names]
        if len(set(lowered)) == len(lowered) and self.helper_columns.isdisjoint(lowered):
            return part, reads
        names = {read.column: f"column {place}" for place, read in enumerate(reads)}
        copy = copy_columns(part, names, self.fresh_path("columns"))
        return copy, tuple(replace(read, column=names[read.column]) for read in reads)

    def persist(self, expression: ibis.Table, name: str) -> ibis.Table:
        """Return the same rows, computed once and kept in the workspace."""
        path = self.fresh_path(name)
        self.write(expression, path)
        return self.read(path)

    @abstractmethod
    def decode(self, data: ir.Value) -> ir.StringValue:
        """Return UTF-8 bytes as text."""

    @abstractmethod
    def read(self, path: Path | Sequence[Path]) -> ibis.Table:
        """Return the rows of parquet files that this project wrote."""

    @abstractmethod
    def write(self, expression: ibis.Table, path: Path) -> None:
        """Write the rows, in the expression's order, to one parquet file."""

    @abstractmethod
    def close(self) -> None:
        """Release what the engine holds."""

    @abstractmethod
    def _read_parts(
        self, parts: Sequence[ParquetPart], reads: Mapping[str, ColumnRead]
    ) -> ibis.Table:
        """Return ``file_order``, ``line`` (from 1) and columns of parts of one schema.

        Columns of the form `Form.NOTHING` are left out.
        """


def _stacked(tables: Sequence[ibis.Table], columns: Sequence[str]) -> ibis.Table:
    """Return the rows of tables that may lack columns, which then are null."""
    kinds: dict[str, dt.DataType] = {}
    for table in tables:
        for name in table.columns:
            kinds.setdefault(name, table[name].type())
    complete = [
        table.select(
            "file_order",
            "line",
            **{
                name: table[name].cast(kinds[name])
                if name in table.columns
                else ibis.null(kinds.get(name, "string"))
                for name in columns
            },
        )
        for table in tables
    ]
    return ibis.union(*complete) if len(complete) > 1 else complete[0]


def _places(
    parts: Sequence[ParquetPart], foldered: Mapping[str, Sequence[str | None]], times: Sequence[str]
) -> ibis.Table:
    """Return ``part_order`` and ``file`` of each part, and what its folders say."""
    seconds = {
        name: found
        for name, values in foldered.items()
        if name in times and (found := seconds_of_days(values)) is not None
    }
    values = {
        "part_order": [part.order for part in parts],
        "file": [part.label for part in parts],
        **foldered,
        **seconds,
    }
    places = ibis.memtable(
        values,
        schema={name: "int64" if name == "part_order" else "string" for name in values},
    )
    whole = {name: places[name].cast("int64") for name in seconds}
    return places.mutate(
        **{
            name: ibis.struct({"seconds": second, "nanoseconds": _ZERO})
            for name, second in whole.items()
        }
    )


_ZERO = ibis.literal(0, "int64")
