"""Tables that all runs of a dataset share: a run replaces its own rows and leaves all others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from hsrl_pipeline.atomic import staged_path

PREVIEW_ROWS = 50

LOCK_SECONDS = 120.0
"""How long a run waits for another one that is writing the same table."""


class UpsertTableDataset(AbstractDataset[pd.DataFrame, pd.DataFrame], ABC):
    """A table file whose rows belong to keys; saving replaces the rows of the saved keys.

    Reading, merging and replacing happen under a lock file beside the table, so that runs in
    parallel lose no rows of each other; the file is replaced in one move.

    Args:
        filepath: The table's file.
        earlier_no_repeats: Whether rows of before there was a column ``regime`` are of the regime
            ``no_repeats``, unless they tell otherwise.
        metadata: Read by Kedro-Viz and by the tracking hook.
    """

    KEYS: ClassVar[Sequence[str]] = ()
    COLUMNS: ClassVar[Sequence[str]] = ()

    def __init__(
        self,
        *,
        filepath: str,
        earlier_no_repeats: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = Path(filepath)
        self._earlier_regime = "no_repeats" if earlier_no_repeats else "repeats"
        self.metadata = metadata

    @abstractmethod
    def _read(self, path: Path) -> pd.DataFrame: ...

    @abstractmethod
    def _write(self, table: pd.DataFrame, path: Path) -> None: ...

    def load(self) -> pd.DataFrame:
        """Return all rows that runs have saved.

        Raises:
            DatasetError: The file is missing or can't be read.
        """
        if not self._filepath.exists():
            raise DatasetError(f"{self._filepath} does not exist")
        return self._read_checked()

    def save(self, data: pd.DataFrame) -> None:
        """Add the rows, in place of those with the same keys.

        Args:
            data: Holds at least the dataset's own columns; further ones follow after them.

        Raises:
            DatasetError: A column is missing, the file can't be read, or another run holds the
                lock for too long.
        """
        from filelock import FileLock, Timeout

        missing = [name for name in self.COLUMNS if name not in data.columns]
        if missing:
            raise DatasetError(f"{self._filepath} needs the columns {', '.join(missing)}")
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._filepath.with_name(f".{self._filepath.name}.lock"))
        try:
            with lock.acquire(timeout=LOCK_SECONDS):
                merged = self._merge(data)
                with staged_path(self._filepath) as staging:
                    self._write(merged, staging)
        except Timeout as error:
            raise DatasetError(
                f"another run has been writing {self._filepath} for {LOCK_SECONDS:.0f} seconds"
            ) from error

    def _merge(self, data: pd.DataFrame) -> pd.DataFrame:
        """Return the rows on file without those of the saved keys, and the saved ones."""
        table = data
        if self._filepath.exists():
            old = self._read_checked()
            keys = list(self.KEYS)
            replaced = pd.MultiIndex.from_frame(old[keys]).isin(
                pd.MultiIndex.from_frame(data[keys])
            )
            kept = old[~replaced]
            table = pd.concat([kept, data], ignore_index=True) if len(kept) else data
        first = list(self.COLUMNS)
        others = [name for name in table.columns if name not in first]
        return table[first + others].sort_values(list(self.KEYS), kind="stable", ignore_index=True)

    def _read_checked(self) -> pd.DataFrame:
        try:
            table = self._read(self._filepath)
        except (ValueError, OSError) as error:
            raise DatasetError(f"{self._filepath} can't be read: {error}") from error
        if "regime" not in table.columns:
            table = table.assign(regime=self._regime_of_earlier(table))
        missing = [name for name in self.KEYS if name not in table.columns]
        if missing:
            raise DatasetError(
                f"{self._filepath} lacks the columns {', '.join(missing)}; move it away and run "
                "the evaluation again"
            )
        return table

    def _regime_of_earlier(self, table: pd.DataFrame) -> pd.Series[str]:
        """Return the regime of rows written before they said so."""
        return pd.Series(self._earlier_regime, index=table.index)

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class SummaryDataset(UpsertTableDataset):
    """The results table; a run adds or replaces its own rows and loses no others.

    Its first columns are fixed; further ones may follow.
    """

    KEYS: ClassVar[Sequence[str]] = ("policy", "seed", "simulator", "regime")
    COLUMNS: ClassVar[Sequence[str]] = (
        "policy",
        "seed",
        "simulator",
        "n_episodes",
        "total_reward",
        "total_reward_ci_low",
        "total_reward_ci_high",
        "depth",
        "depth_ci_low",
        "depth_ci_high",
        "clicks_per_slot",
        "coverage",
        "repetition_rate",
        "intra_list_diversity",
        "regime",
    )

    def _read(self, path: Path) -> pd.DataFrame:
        return _read_csv(path)

    def _write(self, table: pd.DataFrame, path: Path) -> None:
        table.to_csv(path, index=False)

    def _regime_of_earlier(self, table: pd.DataFrame) -> pd.Series[str]:
        """Return the regime of each row: where a policy repeated itself, repeats were allowed.

        Policies of the same sessions had the same rules, and the static references repeat
        themselves wherever they may.
        """
        regime = super()._regime_of_earlier(table)
        if "sessions_version" not in table.columns:
            return regime
        most = table.groupby("sessions_version")["repetition_rate"].transform("max")
        return regime.mask(most == 0.0, "no_repeats").mask(most > 0.0, "repeats")

    def preview(self) -> TablePreview:
        """Return the first rows for Kedro-Viz."""
        rows = self.load().head(PREVIEW_ROWS)
        return TablePreview(rows.to_dict(orient="split"))


class SessionDataset(UpsertTableDataset):
    """One row per policy, seed, simulator, regime and episode, in one parquet file.

    ``sessions_version`` tells which users and draws the episodes had, ``simulator_version`` on
    which simulator; only equal ones may be compared session by session.
    """

    KEYS: ClassVar[Sequence[str]] = ("policy", "seed", "simulator", "regime")
    COLUMNS: ClassVar[Sequence[str]] = (
        "policy",
        "seed",
        "simulator",
        "regime",
        "episode",
        "user_index",
        "total_reward",
        "depth",
        "sessions_version",
        "simulator_version",
    )

    def _read(self, path: Path) -> pd.DataFrame:
        return pd.read_parquet(path)

    def _write(self, table: pd.DataFrame, path: Path) -> None:
        table.to_parquet(path, index=False)


class KeyedCsvDataset(UpsertTableDataset):
    """A csv table that runs share, whose rows a run replaces by the given keys.

    Args:
        filepath: The table's file.
        keys: Columns whose values tell one run's rows from those of others.
        metadata: Read by Kedro-Viz and by the tracking hook.
    """

    def __init__(
        self, *, filepath: str, keys: Sequence[str], metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self.KEYS = self.COLUMNS = tuple(keys)  # type: ignore[misc]

    def _read(self, path: Path) -> pd.DataFrame:
        return _read_csv(path)

    def _write(self, table: pd.DataFrame, path: Path) -> None:
        table.to_csv(path, index=False)

    def preview(self) -> TablePreview:
        """Return the first rows for Kedro-Viz."""
        return TablePreview(self.load().head(PREVIEW_ROWS).to_dict(orient="split"))


class KeyedParquetDataset(KeyedCsvDataset):
    """The same in one parquet file."""

    def _read(self, path: Path) -> pd.DataFrame:
        return pd.read_parquet(path)

    def _write(self, table: pd.DataFrame, path: Path) -> None:
        table.to_parquet(path, index=False)


def _read_csv(path: Path) -> pd.DataFrame:
    """Return a table as it was written: versions as text, numbers to the last digit."""
    # Versions are hexadecimal; one made of digits alone, or like 12e5, must stay text.
    names = pd.read_csv(path, nrows=0).columns
    texts = {name: "string" for name in names if name.endswith("_version")}
    # Arrow's parser returns the very number that was written, in every pandas version.
    table = pd.read_csv(path, dtype=texts, engine="pyarrow")
    return table.astype(dict.fromkeys(texts, object))
