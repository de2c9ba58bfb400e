"""Whether a table of semantic IDs is one: every code in its level's vocabulary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.shapes import PAD_ID, check_shape


def check_codes(codes: NDArray[np.int64], vocab_sizes: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the items that have a semantic ID.

    Args:
        codes: (item, level) int64. Semantic IDs, row 0 all -1; so are items without one.
        vocab_sizes: Number of codes per level.

    Returns:
        (live,) int64. Item indices, ascending.

    Raises:
        ValueError: A code lies outside its level's vocabulary, or no item has a semantic ID.
    """
    check_shape("codes", codes, None, len(vocab_sizes))
    absent = codes[:, 0] == -1
    within = np.ones(len(codes), bool)
    # column by column: a row has too few codes to be worth a loop of its own
    for column, size in zip(codes.T, vocab_sizes, strict=True):
        absent &= column == -1
        within &= (column >= 0) & (column < size)
    absent[PAD_ID] = True
    wrong = ~(within | absent)
    if wrong.any():
        item = wrong.argmax()
        level = ((codes[item] < 0) | (codes[item] >= vocab_sizes)).argmax()
        raise ValueError(
            f"item {item} has code {codes[item, level]} at level {level + 1}, "
            f"expected one in [0, {vocab_sizes[level]})"
        )
    if absent.all():
        raise ValueError("no item has a semantic ID")
    return np.flatnonzero(~absent)
