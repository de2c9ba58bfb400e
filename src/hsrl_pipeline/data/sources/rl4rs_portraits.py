"""Portraits of RL4RS sessions: ten hashes or flags to embed, and 32 numbers in the raw form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hsrl_pipeline.data.accounts import RowAccounts
from hsrl_pipeline.data.engines.text_landing import TextForm, land_csv
from hsrl_pipeline.data.sources.rl4rs_files import (
    FLAGS_PREFIX,
    RAW_COLUMNS,
    RL4RSFiles,
    log_columns,
)

HASHED = 10
PORTRAIT = 42
NUMBER = r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?"
FULL_PORTRAIT = rf"^[0-9]+(,[0-9]+){{{HASHED - 1}}}(,{NUMBER}){{{PORTRAIT - HASHED}}}$"
TEN_FLAGS = rf"^[01](,[01]){{{HASHED - 1}}}$"


def read_portraits(files: RL4RSFiles, workspace: Path) -> tuple[pd.DataFrame, RowAccounts]:
    """Return the portrait of each session, from the first line of the session that has one.

    Args:
        files: The chosen log.
        workspace: Scratch folder.

    Returns:
        ``user_id`` with ten ``category_<name>`` columns (hashes, or flags) and, in the raw form,
        32 ``dense_<name>`` columns; and the count of lines without a readable portrait.
    """
    raw = files.form == "raw"
    names = log_columns(files)
    target = workspace / "portraits.parquet"
    land_csv(
        [files.log],
        target,
        {"user_id": names["user_id"], "portrait": names["portrait"]},
        TextForm("@" if raw else ","),
        names=None if files.header else RAW_COLUMNS,
    )
    ids: list[np.ndarray] = []
    numbers: list[np.ndarray] = []
    missing = 0
    width = PORTRAIT if raw else HASHED
    for landed in pq.ParquetFile(target).iter_batches(columns=["user_id", "portrait", "reason"]):
        batch = landed.filter(pc.is_null(landed["reason"]))
        text = pc.utf8_trim_whitespace(batch["portrait"].fill_null(""))
        missing += int(pc.sum(pc.equal(text, "")).as_py() or 0)
        whole = pc.match_substring_regex(text, FULL_PORTRAIT if raw else TEN_FLAGS)
        parts = pc.split_pattern(text.filter(whole), ",").flatten()
        numbers.append(parts.cast(pa.float64()).to_numpy().reshape(-1, width))
        ids.append(np.asarray(batch["user_id"].filter(whole).to_pandas(), dtype=object))
    target.unlink()
    users = pd.Series(np.concatenate(ids) if ids else [], dtype=object)
    table = np.concatenate(numbers) if numbers else np.empty((0, width))
    first = (~users.duplicated() & users.notna()).to_numpy()
    kept = table[first]
    labels = _category_names(files)
    portraits = pd.DataFrame(
        {
            "user_id": users[first].str.strip().to_numpy(),
            **{f"category_{labels[k]}": kept[:, k].astype(np.int64) for k in range(HASHED)},
            **{f"dense_portrait_{k}": kept[:, k] for k in range(HASHED, width)},
        }
    )
    return portraits.drop_duplicates("user_id", ignore_index=True), RowAccounts(
        notes={"lines without a portrait": missing} if missing else {}
    )


def _category_names(files: RL4RSFiles) -> list[str]:
    """Return names of the ten categories; flags are named after the hash that they stand for."""
    if files.form == "bigdatacup":
        flags = log_columns(files)["portrait"].removeprefix(FLAGS_PREFIX).strip("_").split("_")
        if len(flags) == HASHED:
            return [f"flag_{name}" for name in flags]
    return [f"portrait_{place}" for place in range(HASHED)]
