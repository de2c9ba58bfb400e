"""Where Ibis expressions run: embedded DuckDB or a Spark cluster, behind one small interface.

Both engines read the same parquet, run the same expressions and write the same single, ordered
parquet files; only how they open and write files differs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir

from hsrl_pipeline.data.engines.text_landing import land_csv, land_fields
from hsrl_pipeline.data.engines.text_of_bytes import text_of_bytes
from hsrl_pipeline.errors import UserError


class Engine(ABC):
    """Runs Ibis expressions and keeps their intermediate results in a scratch folder.

    Args:
        workspace: Existing scratch folder; on a cluster, one that every worker can reach.
    """

    backend: Any

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

        See `hsrl_pipeline.data.engines.text_landing.land_fields` for arguments, columns and errors.
        """
        target = self.fresh_path("fields")
        landed = land_fields(path, target, columns, separator=separator, encoding=encoding)
        return self.read(landed).mutate(file=ibis.literal(path.name), file_order=_ZERO)

    def scan_csv(
        self,
        path: Path,
        columns: Mapping[str, str],
        *,
        delimiter: str = ",",
        names: Sequence[str] | None = None,
        encoding: str = "utf-8",
    ) -> ibis.Table:
        """Return columns of a delimited file as text: ``file``, ``line``, those, and ``reason``.

        See `hsrl_pipeline.data.engines.text_landing.land_csv` for arguments, columns and errors.
        """
        landed = land_csv(
            path,
            self.fresh_path("fields"),
            columns,
            delimiter=delimiter,
            names=names,
            encoding=encoding,
        )
        return self.read(landed).mutate(file=ibis.literal(path.name), file_order=_ZERO)

    def scan_parquet(self, path: str | Path, columns: Mapping[str, str]) -> ibis.Table:
        """Return typed columns of parquet files: ``file``, ``file_order``, ``line`` and those.

        Columns of bytes come as text, see `text_of_bytes`, and NaN comes as null.

        Args:
            path: A file, a folder or a pattern with ``*``. Files count in the order of their paths.
            columns: Name to give to each wanted column, and its name in the files.

        Raises:
            UserError: Nothing is there, a file is no parquet, or a wanted column is missing.
        """
        table, files = self._open_parquet(str(path))
        missing = [name for name in columns.values() if name not in table.columns]
        if missing:
            present = [name for name in table.columns if name not in ("file_path", "file_row")]
            raise UserError(
                f"{path} has no column {', '.join(map(repr, missing))}; its columns are "
                f"{', '.join(map(repr, present))}",
                remedy="Correct the column names in the parameters.",
            )
        picked = table.select(
            "file_path",
            line=table.file_row + 1,
            **{name: self._plain(table[raw]) for name, raw in columns.items()},
        )
        if len(files) == 1:
            label = ibis.literal(Path(files[0]).name)
            return picked.mutate(file=label, file_order=_ZERO).drop("file_path")
        places = ibis.memtable(
            {
                "file_path": list(files),
                "file": [Path(file).name for file in files],
                "file_order": list(range(len(files))),
            },
            schema={"file_path": "string", "file": "string", "file_order": "int64"},
        )
        return picked.join(places, "file_path").drop("file_path")

    def persist(self, expression: ibis.Table, name: str) -> ibis.Table:
        """Return the same rows, computed once and kept in the workspace."""
        path = self.fresh_path(name)
        self.write(expression, path)
        return self.read(path)

    def _plain(self, column: ir.Column) -> ir.Column:
        """Return a column with bytes as text and null for NaN."""
        if column.type().is_binary():
            return text_of_bytes(column, self.decode)
        if column.type().is_floating():
            return ibis.ifelse(self.is_number(column), column, ibis.null(column.type()))
        return column

    @abstractmethod
    def is_number(self, column: ir.FloatingColumn) -> ir.BooleanColumn:
        """Return where floats are not NaN."""

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
    def _open_parquet(self, path: str) -> tuple[ibis.Table, list[str]]:
        """Return all columns plus ``file_path`` and ``file_row`` (from 0), and the files' paths."""


_ZERO = ibis.literal(0, "int64")
