"""The option of a free embedding per user: the user index as one more categorical feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hsrl_pipeline.data.dataset_info import CategoryField
from hsrl_pipeline.data.slate_log import DatasetInfo, UserTable

USER_INDEX_FIELD = "user_index"


def append_user_index(users: UserTable) -> UserTable:
    """Return the users with their own index as the last categorical feature."""
    n_rows = len(users.categories)
    index = np.arange(n_rows, dtype=np.int64)[:, None]
    return replace(
        users,
        categories=np.concatenate([users.categories, index], axis=1),
        category_sizes=(*users.category_sizes, n_rows),
    )


def users_as_read(
    info: DatasetInfo, users: UserTable, checkpoint: Mapping[str, Any]
) -> tuple[DatasetInfo, UserTable]:
    """Return the users as the simulator of a checkpoint reads them.

    Everybody who shares observations with the simulator must read the same features.

    Args:
        info: Sizes and field names of the canonical tables.
        users: Features of the canonical table.
        checkpoint: ``{"config": ..., "state": ...}`` of a simulator.

    Returns:
        The arguments themselves, or with the user index appended as a categorical feature if the
        simulators were fitted with ``simulator.user_id_embedding``.
    """
    if not checkpoint["config"].get("user_id_embedding", False):
        return info, users
    with_index = append_user_index(users)
    field = CategoryField(USER_INDEX_FIELD, with_index.category_sizes[-1])
    return replace(info, category_fields=(*info.category_fields, field)), with_index
