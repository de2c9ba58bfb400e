"""The option of a free embedding per user: the user index as one more categorical feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hsrl_pipeline.data.slate_log import UserTable


def append_user_index(users: UserTable) -> UserTable:
    """Return the users with their own index as the last categorical feature."""
    n_rows = len(users.categories)
    index = np.arange(n_rows, dtype=np.int64)[:, None]
    return replace(
        users,
        categories=np.concatenate([users.categories, index], axis=1),
        category_sizes=(*users.category_sizes, n_rows),
    )


def users_as_read(users: UserTable, checkpoint: Mapping[str, Any]) -> UserTable:
    """Return the users as the simulator of a checkpoint reads them.

    Args:
        users: Features of the canonical table.
        checkpoint: ``{"config": ..., "state": ...}`` of a simulator.

    Returns:
        The table itself, or with the user index appended if the simulator was fitted with
        ``simulator.user_id_embedding``.
    """
    with_index = checkpoint["config"].get("user_id_embedding", False)
    return append_user_index(users) if with_index else users
