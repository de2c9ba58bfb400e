"""Recall and NDCG of rankings on held-out slates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.shapes import PAD_ID, check_shape


def clicked_items(slates: NDArray[np.integer], labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the distinct items of each slate that were clicked.

    Args:
        slates: (row, slate) int. Items in ``[1, n_items]``.
        labels: (row, slate) int. 1 for a click, else 0.

    Returns:
        (row, slate) int64. Each clicked item once, at its first click; PAD_ID elsewhere.
    """
    check_shape("labels", labels, *slates.shape)
    clicked = np.where(labels > 0, slates, PAD_ID).astype(np.int64)
    same = clicked[:, :, None] == clicked[:, None, :]
    earlier = np.tril(np.ones(same.shape[1:], dtype=bool), -1)
    clicked[(same & earlier).any(axis=2)] = PAD_ID
    return clicked


def recall_and_ndcg(
    ranked: NDArray[np.int64], clicked: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return recall and NDCG at k of rankings of k items.

    Recall is the share of the clicked items that are among the k. A clicked item at rank r, from 1,
    gains 1 / log2(1 + r); NDCG is the gain over that of a ranking with the clicked items first.

    Args:
        ranked: (row, rank) int64. Distinct items, best first.
        clicked: (row, slate) int64. Distinct clicked items, PAD_ID elsewhere.

    Returns:
        Two (row,) float64 in [0, 1]; NaN in rows without a click.

    References:
        Jarvelin and Kekalainen 2002, "Cumulated gain-based evaluation of IR techniques".
    """
    check_shape("clicked", clicked, len(ranked), None)
    depth = ranked.shape[1]
    hits = ((ranked[:, :, None] == clicked[:, None, :]) & (clicked != PAD_ID)[:, None, :]).any(2)
    n_clicked = (clicked != PAD_ID).sum(axis=1)
    discounts = 1.0 / np.log2(np.arange(2, depth + 2))
    best = np.concatenate([[0.0], discounts.cumsum()])[np.minimum(n_clicked, depth)]
    with np.errstate(invalid="ignore"):
        return hits.sum(axis=1) / n_clicked, (hits * discounts).sum(axis=1) / best


def means_by_user(values: NDArray[np.float64], users: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the mean of every user's rows, so that each user counts once.

    Args:
        values: (row, column) float64.
        users: (row,) int. Who each row belongs to.

    Returns:
        (user, column) float64, by user number.
    """
    check_shape("users", users, len(values))
    _, place, counts = np.unique(users, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, place, values)
    means: NDArray[np.float64] = sums / counts[:, None]
    return means
