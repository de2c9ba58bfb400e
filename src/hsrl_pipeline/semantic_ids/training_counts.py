"""What the training split says of items: who was shown what, and liked it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.data.slate_log import SlateLog


@dataclass(frozen=True)
class TrainingCounts:
    """Feedback of the training split alone.

    Attributes:
        users: (event,) int64. User index of each shown item.
        items: (event,) int64. Item index of each shown item, padding left out.
        positive: (event,) bool. Whether the response was positive.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    positive: NDArray[np.bool_]

    @classmethod
    def from_log(cls, log: SlateLog) -> TrainingCounts:
        """Return the events of the training slates; test slates are never looked at."""
        train = log.train
        items = train.slates.ravel().astype(np.int64)
        users = np.repeat(train.users.astype(np.int64), train.slate_size)
        real = items > 0
        return cls(users[real], items[real], train.labels.ravel()[real] > 0)

    def among(self, rows: NDArray[np.int64], n_items: int) -> TrainingCounts:
        """Return the events of some items, which are numbered from 1 in the order given.

        Args:
            rows: (row,) int64. Item indices.
            n_items: Number of real items.
        """
        numbers = np.zeros(n_items + 1, np.int64)
        numbers[rows] = np.arange(1, len(rows) + 1)
        items = numbers[self.items]
        kept = items > 0
        return TrainingCounts(self.users[kept], items[kept], self.positive[kept])

    def per_item(self, n_items: int) -> NDArray[np.int64]:
        """Return (item,) int64 events of each item, row 0 for padding."""
        return np.bincount(self.items, minlength=n_items + 1)
