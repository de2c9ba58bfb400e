"""What a response model knows of an item besides its index, from content and fitting rows.

Nothing here reads a row that the model isn't fitted on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.data.click_statistics import click_log_odds
from hsrl_pipeline.data.slate_log import ItemTable, SlateLog
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.shapes import PAD_ID

TASTE_SPREAD = 0.5
"""Root mean square of the entries of a well-known item's taste vector."""

TASTE_SHRINKAGE = 20.0
"""Exposures at which a taste vector has half of its squared length."""


class ItemCounts(NamedTuple):
    """How often each item was shown and clicked in some rows of a log.

    Attributes:
        clicks: (item,) int64. Row 0 is 0.
        exposures: (item,) int64. Row 0 is 0.
    """

    clicks: NDArray[np.int64]
    exposures: NDArray[np.int64]


class ItemFeatures(NamedTuple):
    """What is known of each item; row 0 is zero.

    Attributes:
        content: (item, content) float32. Content features and given vectors: true of an item
            whether it was ever shown or not.
        statistics: (item, statistic) float32. What fitting rows say: popularity (log exposures
            and smoothed click log-odds) and taste vectors; zero for an item without rows.
        counts: Exposures and clicks in the fitting rows.
    """

    content: NDArray[np.float32]
    statistics: NDArray[np.float32]
    counts: ItemCounts


def count_items(log: SlateLog, n_items: int) -> ItemCounts:
    """Return exposures and clicks of every item in the log's rows."""
    shown = log.slates.ravel()
    return ItemCounts(
        clicks=np.bincount(shown[log.labels.ravel() > 0], minlength=n_items + 1),
        exposures=np.bincount(shown, minlength=n_items + 1),
    )


def build_item_features(
    items: ItemTable, log: SlateLog, taste_size: int, seed: int
) -> ItemFeatures:
    """Return everything a response model may know of an item apart from its index.

    Args:
        items: Content features and given vectors.
        log: The fitting rows.
        taste_size: Largest width of the taste vectors, 0 for none.
        seed: Seed of the randomised SVD.

    Raises:
        UserError: A content feature or given vector is not finite; names the item.
    """
    counts = count_items(log, items.n_items)
    content = _scale(_refuse_non_finite(np.concatenate([items.content, items.vectors], axis=1)))
    tastes = taste_vectors(log, counts, len(items.item_ids), taste_size, seed)
    statistics = np.concatenate([_popularity(counts), tastes], axis=1)
    content[PAD_ID] = statistics[PAD_ID] = 0.0
    return ItemFeatures(
        content=np.ascontiguousarray(content, dtype=np.float32),
        statistics=np.ascontiguousarray(statistics, dtype=np.float32),
        counts=counts,
    )


def taste_vectors(
    log: SlateLog, counts: ItemCounts, n_rows: int, size: int, seed: int
) -> NDArray[np.float64]:
    """Return item vectors that lie close when the same users like both items.

    A truncated SVD of the user-by-item table of surprises, ``y`` minus the item's click rate, so
    that popularity doesn't fill the leading directions. Vectors of equal length, shrunk where an
    item has few exposures.

    Args:
        log: The fitting rows.
        counts: Exposures and clicks in these rows.
        n_rows: Number of items and the padding row.
        size: Wanted width; lowered to what the table's rank allows.
        seed: Seed of the randomised SVD.

    Returns:
        (item, taste) float64. Zero for items without exposures.
    """
    from scipy.sparse import csr_matrix
    from sklearn.utils.extmath import randomized_svd

    users, user_rows = np.unique(log.users, return_inverse=True)
    width = min(size, len(users) - 1, n_rows - 2)
    if width < 1:
        return np.zeros((n_rows, 0))
    shown = log.slates.ravel()
    rates = counts.clicks / np.maximum(counts.exposures, 1)
    surprise = log.labels.ravel() - rates[shown]
    rows = np.repeat(user_rows, log.slate_size)
    table = csr_matrix((surprise, (rows, shown)), shape=(len(users), n_rows))
    _, strengths, directions = randomized_svd(table, n_components=width, random_state=seed)
    vectors = directions.T * strengths
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-12)
    trust = np.sqrt(counts.exposures / (counts.exposures + TASTE_SHRINKAGE))
    scaled: NDArray[np.float64] = vectors * trust[:, None] * TASTE_SPREAD * np.sqrt(width)
    return scaled


def _popularity(counts: ItemCounts) -> NDArray[np.float64]:
    """Return (item, 2) float64: standardised log exposures and click log-odds; 0 if never shown."""
    seen = counts.exposures > 0
    log_exposures = np.log1p(counts.exposures)
    spread = max(float(log_exposures[seen].std()), 1e-6) if seen.any() else 1.0
    mean = float(log_exposures[seen].mean()) if seen.any() else 0.0
    standardised = np.where(seen, (log_exposures - mean) / spread, 0.0)
    _, log_odds = click_log_odds(counts.clicks, counts.exposures)
    return np.stack([standardised, log_odds], axis=1)


def _scale(content: NDArray[np.float32]) -> NDArray[np.float64]:
    """Standardise columns that leave [-1, 1]; flags and unit vectors stay as they are."""
    scaled = content.astype(np.float64)
    real = scaled[1:]
    wide = np.abs(real).max(axis=0, initial=0.0) > 1.0
    spread = np.maximum(real[:, wide].std(axis=0), 1e-6)
    scaled[1:, wide] = (real[:, wide] - real[:, wide].mean(axis=0)) / spread
    return scaled


def _refuse_non_finite(content: NDArray[np.float32]) -> NDArray[np.float32]:
    bad = np.argwhere(~np.isfinite(content))
    if len(bad):
        item, column = (int(place) for place in bad[0])
        raise UserError(
            f"Content feature {column} of item {item} is {content[item, column]}",
            where=f"items, item_index {item}",
            remedy="Item features must be finite; run the ingestion pipeline on a repaired file.",
        )
    return content
