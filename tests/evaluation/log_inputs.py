"""A small log with known propensities, for the tests of rankings and off-policy estimates."""

from types import SimpleNamespace

import numpy as np

from hsrl_pipeline.data.feature_tables import UserTable
from hsrl_pipeline.data.slate_log import SlateLog

from .conftest import N_ITEMS, SLATE

N_USERS = 6


def make_log(n_rows=40, seed=0):
    """Return slates of six users in turn, the last ten of them the test split.

    All are drawn uniformly, which only the test split tells. Category 1 likes items 1 to 6,
    category 2 the others.
    """
    rng = np.random.default_rng(seed)
    slates = np.stack([rng.permutation(N_ITEMS)[:SLATE] + 1 for _ in range(n_rows)])
    users = np.arange(n_rows) % N_USERS + 1
    labels = ((slates <= 6) == (users % 2 == 0)[:, None]).astype(np.int8)
    is_train = np.arange(n_rows) < n_rows * 3 // 4
    propensities = np.full(slates.shape, 1 / N_ITEMS, np.float32)
    propensities[is_train] = np.nan
    nothing = np.zeros(n_rows, np.int64)
    return SlateLog(
        slates=slates.astype(np.int32),
        labels=labels,
        users=users.astype(np.int32),
        timestamps=np.arange(n_rows),
        is_train=is_train,
        history_start=nothing,
        history_end=nothing,
        timeline=np.zeros(0, np.int32),
        propensities=propensities,
    )


def make_data(log):
    """Return what rankings and estimates read of the data; odd users are of category 2."""
    categories = 1 + np.arange(N_USERS + 1)[:, None] % 2
    users = UserTable(categories, np.zeros((N_USERS + 1, 0), np.float32), (3,))
    codes = np.full((N_ITEMS + 1, 2), -1)
    codes[1:] = [[item // 4, item % 4] for item in range(N_ITEMS)]
    return SimpleNamespace(
        log=log,
        users=users,
        codebook=SimpleNamespace(codes=codes),
        info=SimpleNamespace(dataset="small"),
    )
