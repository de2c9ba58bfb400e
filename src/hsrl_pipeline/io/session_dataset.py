"""The evaluated sessions of all runs of a data set, so that later runs can be paired with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pandas as pd

from hsrl_pipeline.io.upsert_table import UpsertTableDataset


class SessionDataset(UpsertTableDataset):
    """One row per policy, seed, simulator and episode, in one parquet file.

    ``sessions_version`` tells which users and draws the episodes had, ``simulator_version`` on
    which simulator; only equal ones may be compared session by session.
    """

    KEYS: ClassVar[Sequence[str]] = ("policy", "seed", "simulator")
    COLUMNS: ClassVar[Sequence[str]] = (
        "policy",
        "seed",
        "simulator",
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
