"""What training rows say of each item's quality, as columns beside its vector.

Semantic IDs and the diversity of slates go by the vectors alone; policies read both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.data.click_statistics import click_log_odds
from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.semantic_ids.item_vectorizer import Standardisation
from hsrl_pipeline.semantic_ids.training_counts import TrainingCounts

N_COLUMNS = 2
"""Smoothed click log-odds and log exposures."""


def quality_columns(
    log: SlateLog,
    n_items: int,
    weight: float,
    known: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Return each item's smoothed click log-odds and log exposures in the training rows.

    Click rates are shrunk towards the overall one before the logarithm. Both columns have mean 0
    and standard deviation ``weight`` over the items with training rows, so that 0, which all
    others have, says that an item is like the average.

    Args:
        log: Logged slates; only the training split is read.
        n_items: Number of real items.
        weight: Standard deviation of the columns; 0 for no columns.
        known: (item,) bool. Items whose rows are read; None for all.

    Returns:
        (item, quality) float32. Two columns, or none without a weight; row 0 is zero.
    """
    if not weight:
        return np.zeros((n_items + 1, 0), np.float32)
    counts = TrainingCounts.from_log(log)
    exposures = counts.per_item(n_items)
    clicks = np.bincount(counts.items[counts.positive], minlength=n_items + 1)
    if known is not None:
        exposures, clicks = exposures * known, clicks * known
    quality = np.zeros((n_items + 1, N_COLUMNS), np.float32)
    seen = exposures > 0
    if seen.any():
        _, log_odds = click_log_odds(clicks, exposures)
        columns = np.stack([log_odds[seen], np.log(exposures[seen])], axis=1).astype(np.float32)
        quality[seen] = weight * Standardisation.fit(columns).apply(columns)
    return quality


def with_unknown_quality(vectors: NDArray[np.float32], weight: float) -> NDArray[np.float32]:
    """Return the vectors of items without training rows as policies read them.

    Args:
        vectors: (row, embed) float32.
        weight: That of ``quality_columns``; without one there are no columns.

    Returns:
        (row, embed + quality) float32. The quality columns are 0.
    """
    width = N_COLUMNS if weight else 0
    return np.hstack([vectors, np.zeros((len(vectors), width), np.float32)])
