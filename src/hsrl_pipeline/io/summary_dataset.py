"""``summary.csv``: one row per policy, seed and simulator, shared by all runs of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from hsrl_pipeline.io.upsert_table import UpsertTableDataset

PREVIEW_ROWS = 50


class SummaryDataset(UpsertTableDataset):
    """The results table; a run adds or replaces its own rows and loses no others.

    Its first columns are fixed; further ones may follow.
    """

    KEYS: ClassVar[Sequence[str]] = ("policy", "seed", "simulator")
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
    )

    def _read(self, path: Path) -> pd.DataFrame:
        # Versions are hexadecimal; one made of digits alone, or like 12e5, must stay text.
        names = pd.read_csv(path, nrows=0).columns
        texts = {name: "string" for name in names if name.endswith("_version")}
        # Arrow's parser returns the very number that was written, in every pandas version.
        table = pd.read_csv(path, dtype=texts, engine="pyarrow")
        return table.astype(dict.fromkeys(texts, object))

    def _write(self, table: pd.DataFrame, path: Path) -> None:
        table.to_csv(path, index=False)

    def preview(self) -> dict[str, Any]:
        """Return the first rows for Kedro-Viz."""
        rows = self.load().head(PREVIEW_ROWS)
        preview: dict[str, Any] = rows.to_dict(orient="split")
        return preview
