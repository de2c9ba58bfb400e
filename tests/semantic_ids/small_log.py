"""A small catalogue with two tastes, and the log of users who follow them."""

from __future__ import annotations

import numpy as np

from hsrl_pipeline.data.slate_log import ItemTable, SlateLog

N_ITEMS, N_USERS, SLATE = 24, 40, 4
COLD = 24
"""Item without training events; its content is that of the second taste."""


def taste_of(items: np.ndarray) -> np.ndarray:
    """Return 0 for items 1 to 12 and 1 for items 13 to 24."""
    return (np.asarray(items) > N_ITEMS // 2).astype(int)


def make_items(*, titles: bool = False, given: int = 0) -> ItemTable:
    generator = np.random.default_rng(0)
    content = np.zeros((N_ITEMS + 1, 3), np.float32)
    content[1:, 0] = taste_of(np.arange(1, N_ITEMS + 1))
    content[1:, 1:] = 0.3 * generator.standard_normal((N_ITEMS, 2))
    names = np.full(N_ITEMS + 1, "", object)
    if titles:
        names[1:] = [f"{'Alien' if k <= 12 else 'Romance'} part {k}" for k in range(1, 25)]
    vectors = np.zeros((N_ITEMS + 1, given), np.float32)
    vectors[1:] = generator.standard_normal((N_ITEMS, given))
    ids = np.array(["", *(f"id{k}" for k in range(1, N_ITEMS + 1))], dtype=object)
    return ItemTable(content, vectors, None, None, names, ids)


def make_log(*, test_labels: int = 1) -> SlateLog:
    """Return one training slate of each user's taste, and test slates with the cold item."""
    generator = np.random.default_rng(1)
    users = np.repeat(np.arange(1, N_USERS + 1, dtype=np.int32), 3)
    slates = np.empty((len(users), SLATE), np.int32)
    for row, user in enumerate(users):
        pool = np.arange(1, 13) if user % 2 else np.arange(13, 24)
        slates[row] = generator.choice(pool, SLATE, replace=False)
    is_train = np.arange(len(users)) % 3 < 2
    labels = generator.integers(0, 2, slates.shape).astype(np.int8)
    slates[~is_train, 0] = COLD
    labels[~is_train] = test_labels
    zeros = np.zeros(len(users), np.int64)
    return SlateLog(
        slates, labels, users, zeros, is_train, zeros, zeros, np.zeros(0, dtype=np.int32)
    )
