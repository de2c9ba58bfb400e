"""Tables of pairs of a user and an item that stand beside the log: recorded answers, propensities.

They are read from the same raw files as the log, but no slate is cut from them: they judge what was
learned from it. Most sources have neither, and their tables are empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.data.accounts import RowAccounts
from hsrl_pipeline.data.engines.scratch import scratch_folder
from hsrl_pipeline.data.sources.source_log import ReadRequest
from hsrl_pipeline.errors import UserError

RECORDED_ANSWERS = {
    "jester": "hsrl_pipeline.data.sources.jester:read_recorded_answers",
    "tabular": "hsrl_pipeline.data.sources.tabular_answers:read_recorded_answers",
}
"""Source to ``module:function`` that returns ``user_id, item_id, label`` of recorded answers
and the accounts of their file."""

PROPENSITIES = {"coat": "hsrl_pipeline.data.sources.coat:read_propensities"}
"""Source to ``module:function`` that returns ``user_id, item_id, propensity`` and the accounts."""


@dataclass(frozen=True)
class PairTables:
    """What is known of pairs of a user and an item beside the log, by canonical index.

    Attributes:
        recorded_answers: ``user_index``, ``item_index`` (int32), ``label`` (int8): what people
            who are no part of the training split really answered.
        propensities: ``user_index``, ``item_index`` (int32), ``propensity`` (float32, in (0, 1]):
            the probability with which the pair came into the training split.
        accounts: Rows of the files that are read for these tables alone.
    """

    recorded_answers: pd.DataFrame
    propensities: pd.DataFrame
    accounts: RowAccounts


def build_pair_tables(
    raw_folder: Path,
    work_folder: Path,
    *,
    users: pd.DataFrame,
    items: pd.DataFrame,
    config: IngestionConfig,
    seed: int,
) -> PairTables:
    """Read the tables beside a log and index them as the log is indexed.

    Args:
        raw_folder: Folder of raw files; only read.
        work_folder: The dataset's intermediate folder, for scratch space.
        users: Canonical users.
        items: Canonical items.
        config: The ``ingestion`` parameters.
        seed: Seed of the run.

    Raises:
        UserError: A file is missing or damaged, or answers are recorded of somebody, or about
            something, that the log does not know.
    """
    with scratch_folder(work_folder) as scratch:
        request = ReadRequest(raw_folder=raw_folder, workspace=scratch, config=config, seed=seed)
        answers, of_answers = _read(RECORDED_ANSWERS, request, "label", "int8")
        propensities, of_propensities = _read(PROPENSITIES, request, "propensity", "float32")
    for name, known in (("user", users), ("item", items)):
        _require_known(answers, known, name)
    return PairTables(
        _indexed(answers, users, items),
        _indexed(propensities, users, items),
        of_answers.merged(of_propensities),
    )


def _read(
    readers: Mapping[str, str], request: ReadRequest, value: str, kind: str
) -> tuple[pd.DataFrame, RowAccounts]:
    """Return the pairs of a source by its own ids, without rows where it has none."""
    pairs, accounts = pd.DataFrame({"user_id": [], "item_id": [], value: []}), RowAccounts()
    if request.config.source in readers:
        module, function = readers[request.config.source].split(":")
        pairs, accounts = getattr(import_module(module), function)(request)
    return pairs.astype({"user_id": "object", "item_id": "object", value: kind}), accounts


def _require_known(answers: pd.DataFrame, known: pd.DataFrame, name: str) -> None:
    """Refuse recorded answers of users, or about items, that the log lacks."""
    strangers = answers.loc[~answers[f"{name}_id"].isin(known[f"{name}_id"]), f"{name}_id"]
    if strangers.empty:
        return
    raise UserError(
        f"Answers are recorded for {strangers.nunique()} {name}s that the log does not know, "
        f"the first is {strangers.iloc[0]!r}",
        where=f"recorded answers, {name}_id {strangers.iloc[0]!r}",
        remedy=f"Leave these {name}s out of the recorded answers, or add their events to the log.",
    )


def _indexed(pairs: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Return pairs by canonical index, in its order; pairs that the log does not know are left."""
    for name, known in (("user", users), ("item", items)):
        places = pd.Series(
            known[f"{name}_index"].to_numpy(np.int32), index=known[f"{name}_id"].to_numpy(object)
        )
        index = pairs[f"{name}_id"].map(places)
        pairs = pairs.assign(**{f"{name}_index": index})[index.notna()]
    columns = ["user_index", "item_index"]
    pairs = pairs.astype(dict.fromkeys(columns, np.int32)).sort_values(columns)
    values = [name for name in pairs.columns if not name.endswith(("_id", "_index"))]
    return pairs[[*columns, *values]].reset_index(drop=True)
