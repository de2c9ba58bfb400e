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

from hsrl_pipeline.data.engines.text_landing import PLAIN_CSV, TextForm, land_csv
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

    def scan_parquet(self, path: str | Path, columns: Mapping[str, str]) -> ibis.Table:
        """Return typed columns of parquet files: ``file``, ``file_order``, ``line`` and those.

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
            **{name: table[raw] for name, raw in columns.items()},
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
