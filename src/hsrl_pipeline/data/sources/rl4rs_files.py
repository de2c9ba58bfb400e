"""The files of RL4RS: which of them is the log, in which form, and what the items are.

K. Wang et al.: RL4RS: A Real-World Dataset for Reinforcement Learning based Recommender System,
SIGIR 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from hsrl_pipeline.config.ingestion_rl4rs import RL4RSConfig
from hsrl_pipeline.data.accounts import RowAccounts, nothing_left
from hsrl_pipeline.data.engines.text_landing import TextForm
from hsrl_pipeline.data.sources.feature_files import read_feature_text
from hsrl_pipeline.errors import UserError

Form = Literal["raw", "bigdatacup"]

RAW_COLUMNS = (
    "timestamp",
    "session_id",
    "sequence_id",
    "exposed_items",
    "user_feedback",
    "user_seqfeature",
    "user_protrait",
    "item_feature",
    "behavior_policy_id",
)
"""Columns of the '@'-separated log, spelt as there; files without header have this order."""

ITEM_COLUMNS = ("item_id", "item_vec", "price", "location")
SPECIAL = "special_item"
FLAGS_PREFIX = "portrait_flags"
SHELVES = 3
REMEDY = "Run `make data DATASET=rl4rs`, or place the official files there."


@dataclass(frozen=True)
class RL4RSFiles:
    """The log that was chosen and the item file that belongs to it.

    Attributes:
        log: Path of the log.
        form: ``"raw"`` or ``"bigdatacup"``.
        header: Names of the log's columns, None when its first line is data.
        item_info: Path of the item file.
    """

    log: Path
    form: Form
    header: tuple[str, ...] | None
    item_info: Path


def find_files(folder: Path, settings: RL4RSConfig) -> RL4RSFiles:
    """Choose log and item file by parameters, or else by the files' first lines.

    Args:
        folder: ``data/01_raw/rl4rs``.
        settings: The ``ingestion.rl4rs`` parameters.

    Raises:
        UserError: There is no log or no item file, or the named file is of another form.
    """
    first_lines = {
        path: _first_line(path) for path in sorted([*folder.glob("*.csv"), *folder.glob("*/*.csv")])
    }
    forms = {path: form for path, line in first_lines.items() if (form := _form(line)) is not None}
    log = _choose_log(folder, settings, forms)
    form = forms[log]
    return RL4RSFiles(
        log=log,
        form=form,
        header=_header(first_lines[log], form),
        item_info=_choose_item_info(folder, settings.item_info, first_lines, form),
    )


def log_columns(files: RL4RSFiles) -> dict[str, str]:
    """Return the log's column for each canonical name.

    Raises:
        UserError: The impressions lack a column.
    """
    if files.form == "raw":
        return {
            "user_id": "session_id",
            "sequence_id": "sequence_id",
            "timestamp": "timestamp",
            "exposed": "exposed_items",
            "feedback": "user_feedback",
            "history": "user_seqfeature",
            "portrait": "user_protrait",
        }
    header = files.header or ()
    exposed = [name for name in header if name.startswith("exposed_items")]
    if not exposed or "labels" not in header:
        raise UserError(
            f"{files.log.name} lacks the columns exposed_items and labels; it has "
            f"{', '.join(header)}",
            where=f"{files.log.name}, line 1",
            remedy=REMEDY,
        )
    flags = next(name for name in header if name.startswith(FLAGS_PREFIX))
    return {"user_id": "user_id", "exposed": exposed[0], "feedback": "labels", "portrait": flags}


def read_items(path: Path, workspace: Path) -> tuple[pd.DataFrame, RowAccounts]:
    """Return vectors, prices, shelves and special flags of an item file.

    Args:
        path: Space-separated file with a header; the special flag may be absent.
        workspace: Scratch folder.

    Returns:
        ``item_id``, ``vector_<k>``, ``price``, ``shelf`` and, where given, ``special``; and the
        accounts of bad rows.

    Raises:
        UserError: The file is missing, empty or has other columns, or none of its rows is good.
    """
    has_special = SPECIAL in _first_line(path).split(" ")
    columns = (*ITEM_COLUMNS, *([SPECIAL] if has_special else []))
    form = TextForm(" ")
    file = read_feature_text(path, {name: name for name in columns}, workspace, form=form)
    file.check_ids("item_id", numeric=True)
    file.check_number("price", low=0)
    file.check_number("location", low=1, high=SHELVES)
    if has_special:
        file.check_number(SPECIAL, low=0, high=127)
    for column in ("location", *columns[4:]):
        file.refuse(
            file.rows[column].isna() | (file.rows[column] % 1 != 0),
            f"{column} is not a whole number",
            column,
        )
    parts = file.rows["item_vec"].fillna("").str.split(",")
    width = int(parts.map(len).mode().iloc[0]) if len(parts) else 0
    vectors = [_numbers(values, width) for values in parts]
    file.refuse(
        pd.Series([vector is None for vector in vectors], index=file.rows.index, dtype=bool),
        f"item_vec is not {width} numbers",
        "item_vec",
    )
    if file.rows.empty:
        raise nothing_left(f"{path.name} holds no good row", file.accounts)
    matrix = np.stack([vector for vector in vectors if vector is not None])
    items = pd.DataFrame(
        {
            "item_id": file.rows["item_id"].astype(str),
            "price": file.rows["price"].astype(np.float32),
            "shelf": file.rows["location"].astype(np.int8),
            **({SPECIAL: file.rows[SPECIAL].astype(np.int8)} if has_special else {}),
        }
    ).rename(columns={SPECIAL: "special"})
    named = pd.DataFrame(
        matrix, columns=[f"vector_{place}" for place in range(width)], index=items.index
    )
    return pd.concat([items, named], axis=1).reset_index(drop=True), file.accounts


def _first_line(path: Path) -> str:
    with path.open("rb") as file:
        line = file.readline().decode("utf-8", errors="replace")
    return line.removeprefix("\ufeff").rstrip("\r\n")


def _form(line: str) -> Form | None:
    if line.count("@") >= len(RAW_COLUMNS) - 2:
        return "raw"
    return "bigdatacup" if line.startswith(f"user_id,{FLAGS_PREFIX}") else None


def _header(line: str, form: Form) -> tuple[str, ...] | None:
    if form == "bigdatacup":
        return tuple(line.split(","))
    return tuple(line.split("@")) if line.startswith(f"{RAW_COLUMNS[0]}@") else None


def _choose_log(folder: Path, settings: RL4RSConfig, forms: dict[Path, Form]) -> Path:
    if settings.log is not None:
        named = [path for path in forms if str(path.relative_to(folder)) == settings.log]
        if not named:
            raise UserError(
                f"{settings.log} is no log of RL4RS in {folder}: its first line is neither "
                "'@'-separated nor that of the BigDataCup impressions",
                where="ingestion.rl4rs.log",
                remedy=f"Logs there: {_names(list(forms))}.",
            )
        if settings.form not in ("auto", forms[named[0]]):
            raise UserError(
                f"{settings.log} is of the form {forms[named[0]]}, not {settings.form}",
                where="ingestion.rl4rs.form",
                remedy="Leave one of ingestion.rl4rs.form and ingestion.rl4rs.log unset.",
            )
        return named[0]
    official = [path for path in forms if path.name.startswith("rl4rs_dataset_")]
    cup = [path for path, form in forms.items() if form == "bigdatacup"]
    raw = [path for path, form in forms.items() if form == "raw"]
    ordered = {"auto": official + cup + raw, "raw": official + raw, "bigdatacup": cup}
    if not ordered[settings.form]:
        raise UserError(
            f"There is no log of the form {settings.form} in {folder}",
            where="ingestion.rl4rs.form",
            remedy=REMEDY,
        )
    return ordered[settings.form][0]


def _choose_item_info(
    folder: Path, name: str | None, first_lines: dict[Path, str], form: Form
) -> Path:
    if name is not None:
        path = folder / name
        if not path.is_file():
            raise UserError(
                f"{path} does not exist", where="ingestion.rl4rs.item_info", remedy=REMEDY
            )
        return path
    found = {
        path: SPECIAL in line.split(" ")
        for path, line in first_lines.items()
        if tuple(line.split(" ")[:4]) == ITEM_COLUMNS
    }
    if not found:
        raise UserError(
            f"There is no item file in {folder}: none begins with {' '.join(ITEM_COLUMNS)}",
            remedy=REMEDY,
        )
    # the two forms have item files of their own, told apart by the column of special items
    return min(found, key=lambda path: (found[path] != (form == "raw"), str(path)))


def _numbers(values: list[str], width: int) -> np.ndarray | None:
    try:
        vector = np.array(values, dtype=np.float32)
    except ValueError:
        return None
    return vector if len(vector) == width and np.isfinite(vector).all() else None


def _names(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths) or "none"
