"""Items in the order of their shelves and codes, with one sort of one number per item."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

LARGEST_KEY = np.iinfo(np.int64).max


def order_by_codes(
    items: NDArray[np.int64],
    roots: NDArray[np.int64] | None,
    codes: NDArray[np.int64],
    vocab_sizes: tuple[int, ...],
) -> NDArray[np.int64]:
    """Return items in the order of root, first code, second code and so on, and item.

    Args:
        items: (live,) int64. Ascending.
        roots: (live,) int64. Number of each item's shelf from 0; None where there is one.
        codes: (item, level) int64. Those of the given items lie in their level's vocabulary.
        vocab_sizes: Number of codes per level.

    Returns:
        (live,) int64.
    """
    n_roots = 1 if roots is None else int(roots.max()) + 1
    if n_roots * math.prod(vocab_sizes) * len(codes) > LARGEST_KEY:
        columns = [codes[items, level] for level in reversed(range(len(vocab_sizes)))]
        return items[np.lexsort(columns if roots is None else [*columns, roots])]
    # a key that ends with the item is sorted several times faster than an index of keys
    keys = np.zeros(len(items), np.int64) if roots is None else roots.copy()
    for level, size in enumerate(vocab_sizes):
        keys *= size
        keys += codes[items, level]
    keys *= len(codes)
    keys += items
    keys.sort()
    keys %= len(codes)
    return keys


def mark_first_leaves(
    leaf_items: NDArray[np.int64],
    leaf_roots: NDArray[np.int64] | None,
    codes: NDArray[np.int64],
) -> list[NDArray[np.bool_]]:
    """Return which items are the first ones below a prefix.

    Args:
        leaf_items: (leaf,) int64. Items in the order of their codes.
        leaf_roots: (leaf,) int64. Their roots, ascending; None where there is one.
        codes: (item, level) int64.

    Returns:
        Per level from 0 to L (leaf,) bool: whether an item is the first below a prefix of as many
        codes.
    """
    marks = [np.zeros(len(leaf_items), bool)]
    marks[0][0] = True
    if leaf_roots is not None:
        marks[0][1:] = leaf_roots[1:] != leaf_roots[:-1]
    for level in range(codes.shape[1]):
        column = codes[leaf_items, level]
        mark = marks[-1].copy()
        mark[1:] |= column[1:] != column[:-1]
        marks.append(mark)
    return marks
