"""A log of users in two camps who like the items of their own genre: easy to learn, fast to fit."""

import numpy as np
import torch

from hsrl_pipeline.config.simulator import ResponseNetworkConfig, SimulatorConfig
from hsrl_pipeline.data.slate_log import ItemTable, SlateLog, UserTable

N_ITEMS, SLATE, HISTORY = 40, 5, 8
LIKED, DISLIKED = 0.85, 0.15
COLD_ITEM = N_ITEMS
"""An item that no training slate shows."""

FAST = SimulatorConfig(
    user_taste=False,
    network=ResponseNetworkConfig(embedding_size=8, n_heads=2, taste_size=4),
    learning_rate=0.01,
    batch_size=32,
    max_epochs=4,
    n_calibration_bins=5,
)


def genre(items):
    """Items are of genre 0 and 1 in turn."""
    return np.asarray(items) % 2


def true_probabilities(users, slates):
    """Users with an odd index like genre 1, the others genre 0."""
    return np.where(genre(slates) == (np.asarray(users) % 2)[:, None], LIKED, DISLIKED)


def make_log(n_users=200, slates_each=5, seed=0):
    rng = np.random.default_rng(seed)
    n_rows = n_users * slates_each
    users = np.tile(np.arange(1, n_users + 1), slates_each)
    slates = np.stack([1 + rng.permutation(N_ITEMS - 1)[:SLATE] for _ in range(n_rows)])
    labels = rng.random(slates.shape) < true_probabilities(users, slates)
    is_train = np.arange(n_rows) < round(0.8 * n_rows)
    slates[~is_train, 0] = np.where(
        rng.random((~is_train).sum()) < 0.5, COLD_ITEM, slates[~is_train, 0]
    )
    timeline, start, end = [], np.zeros(n_rows, np.int64), np.zeros(n_rows, np.int64)
    for user in range(n_users):
        first = len(timeline)
        for row in range(user, n_rows, n_users):
            start[row], end[row] = first, len(timeline)
            timeline += slates[row][labels[row]].tolist()
    return SlateLog(
        slates.astype(np.int32),
        labels.astype(np.int8),
        users.astype(np.int32),
        np.arange(n_rows, dtype=np.int64),
        is_train,
        start,
        end,
        np.array(timeline, dtype=np.int32),
    )


def make_users(n_users=200, *, known_camp=True):
    index = np.arange(n_users + 1)
    categories = np.where(index > 0, 1 + index % 2 if known_camp else 1, 0)[:, None]
    return UserTable(categories.astype(np.int64), np.zeros((n_users + 1, 0), np.float32), (3,))


def make_items(*, content=True):
    index = np.arange(N_ITEMS + 1)
    flags = np.stack([genre(index) == 0, genre(index) == 1], axis=1).astype(np.float32)
    flags[0] = 0.0
    return ItemTable(
        content=flags if content else np.zeros((N_ITEMS + 1, 0), np.float32),
        vectors=np.zeros((N_ITEMS + 1, 0), np.float32),
        shelves=None,
        special=None,
        titles=np.full(N_ITEMS + 1, "", object),
        item_ids=index.astype(str).astype(object),
    )


def state_bytes(checkpoint):
    """Return all weights as bytes, to compare them bit for bit."""
    return {name: torch.as_tensor(t).numpy().tobytes() for name, t in checkpoint["state"].items()}
