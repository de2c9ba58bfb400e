"""Business priors: which of several items under one code is preferred (paper, App. E).

A prior is a log-odds: under one code, an item whose prior is larger by 1 is shown e times as often.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.config.sid import DecodingPriorConfig
from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.errors import UserError


def score_items(
    items: pd.DataFrame,
    log: SlateLog,
    config: DecodingPriorConfig,
    known: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Return the prior of each item: the weighted sum of its ranks.

    Ranks run from 0 for the lowest to 1 for the highest, so that weights mean the same whatever
    the units. Ties share their mean rank; a missing value ranks lowest.

    Args:
        items: Canonical table; ``released_at`` and ``quality`` count where they are columns.
        log: Logged slates; popularity is the number of positives in the training split.
        config: Weights.
        known: (item,) bool. Items that are ranked; nothing of the others is read, and their prior
            is 0, that of an item ranked lowest in everything. None for all.

    Returns:
        (item,) float32. Row 0 is 0.
    """
    padded = np.zeros(int(items["item_index"].max()) + 1, dtype=np.float32)
    if known is not None:
        items = items[known[items["item_index"].to_numpy(np.int64)]]
    index = items["item_index"].to_numpy(np.int64)
    train = log.train
    liked = train.slates[train.labels > 0]
    popularity = np.bincount(liked, minlength=len(padded))[index]
    scores = config.popularity * _ranks(pd.Series(popularity))
    for column, weight in (("released_at", config.recency), ("quality", config.quality)):
        if weight and column in items.columns:
            scores = scores + weight * _ranks(items[column].astype("float64"))
    padded[index] = scores
    return padded


def prior_frame(
    items: pd.DataFrame,
    log: SlateLog,
    config: DecodingPriorConfig,
    *,
    sources: Mapping[str, str],
    known: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Return the priors as the table that is kept.

    Args:
        items: Canonical table.
        log: Logged slates, as for ``score_items``.
        config: Weights.
        sources: Versions of what the priors are made from, for the ``attrs`` of the table.
        known: (item,) bool. Items that are ranked; None for all.

    Returns:
        Columns ``item_index`` and ``prior``, one row per item.
    """
    scores = score_items(items, log, config, known)
    index = items["item_index"].to_numpy()
    priors = pd.DataFrame({"item_index": index, "prior": scores[index]})
    priors.attrs.update(sources)
    return priors


def prior_table(priors: pd.DataFrame, n_items: int) -> NDArray[np.float32]:
    """Return the priors by item.

    Args:
        priors: Columns ``item_index`` and ``prior``, one row per item.
        n_items: Number of real items.

    Returns:
        (item,) float32. Row 0 is 0.

    Raises:
        UserError: The priors are those of other items.
    """
    index = priors["item_index"].to_numpy(np.int64)
    if not np.array_equal(np.sort(index), np.arange(1, n_items + 1)):
        raise UserError(
            f"The priors are of {len(index)} items, the dataset has {n_items}",
            where="item_priors",
            remedy="Run first: kedro run --pipeline sid_tokenization with the same options.",
        )
    table = np.zeros(n_items + 1, dtype=np.float32)
    table[index] = priors["prior"].to_numpy(np.float32)
    return table


def _ranks(values: pd.Series) -> NDArray[np.float64]:
    """Return ranks from 0, lowest or missing, to 1, highest."""
    ranks = values.fillna(-np.inf).rank(method="average").to_numpy(np.float64) - 1.0
    return ranks / max(len(ranks) - 1, 1)
