"""The training form of a log: slates with pointers into per-user timelines.

A history is never copied per row: a slate holds where its user's earlier positives start and end
in one shared timeline, and windows are cut out of it for the rows that a batch needs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.data.dataset_info import DatasetInfo
from hsrl_pipeline.data.feature_tables import ItemTable, UserTable
from hsrl_pipeline.data.shown_timeline import ShownTimeline, build_shown_timeline
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.shapes import PAD_ID, check_shape

__all__ = ["DatasetInfo", "ItemTable", "SlateLog", "UserTable"]


@dataclass(frozen=True)
class SlateLog:
    """Logged slates with their labels, users, split and history pointers.

    Attributes:
        slates: (row, slate) int32. Item indices in ``[1, n_items]``, in the order shown.
        labels: (row, slate) int8. 1 for a positive response, else 0.
        users: (row,) int32. User indices in ``[1, n_users]``.
        timestamps: (row,) int64. Time of each slate's last event.
        is_train: (row,) bool. True in the training split.
        history_start: (row,) int64. First entry of the user in ``timeline``.
        history_end: (row,) int64. End, exclusive, of what the user had liked before the slate.
        timeline: (event,) int32. Positive items of each user in time order, user after user.
        shown: What users were shown and how they responded; None where nobody asks for it.
        propensities: (row, slate) float32. Probability in (0, 1] with which the log showed this
            item in this slot, NaN where it is not known; None where it never is.
    """

    slates: NDArray[np.int32]
    labels: NDArray[np.int8]
    users: NDArray[np.int32]
    timestamps: NDArray[np.int64]
    is_train: NDArray[np.bool_]
    history_start: NDArray[np.int64]
    history_end: NDArray[np.int64]
    timeline: NDArray[np.int32]
    shown: ShownTimeline | None = None
    propensities: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        rows, slate_size = self.slates.shape
        check_shape("labels", self.labels, rows, slate_size)
        if self.propensities is not None:
            check_shape("propensities", self.propensities, rows, slate_size)
        for name in ("users", "timestamps", "is_train", "history_start", "history_end"):
            check_shape(name, getattr(self, name), rows)
        check_shape("timeline", self.timeline, None)

    @classmethod
    def from_frames(cls, slates: pd.DataFrame, timeline: pd.DataFrame) -> SlateLog:
        """Return the log held by the canonical ``slates`` and ``timeline`` tables.

        Args:
            slates: Canonical table, one row per slate, columns ``item_0..``, ``label_0..`` and,
                where they are known, ``propensity_0..``.
            timeline: Canonical table with the column ``item_index``.
        """
        size = sum(1 for column in slates.columns if str(column).startswith("item_"))

        def grid(prefix: str) -> NDArray[np.generic]:
            return slates[[f"{prefix}_{k}" for k in range(size)]].to_numpy()

        return cls(
            slates=np.ascontiguousarray(grid("item"), dtype=np.int32),
            labels=np.ascontiguousarray(grid("label"), dtype=np.int8),
            users=slates["user_index"].to_numpy(np.int32),
            timestamps=slates["timestamp"].to_numpy(np.int64),
            is_train=(slates["split"] == "train").to_numpy(bool),
            history_start=slates["history_start"].to_numpy(np.int64),
            history_end=slates["history_end"].to_numpy(np.int64),
            timeline=timeline["item_index"].to_numpy(np.int32),
            propensities=np.ascontiguousarray(grid("propensity"), dtype=np.float32)
            if "propensity_0" in slates.columns
            else None,
        ).with_shown()

    def with_shown(self) -> SlateLog:
        """Return the log with the timeline of shown items; rows must be in time order."""
        shown = build_shown_timeline(
            slates=self.slates,
            labels=self.labels,
            users=self.users,
            history_start=self.history_start,
            history_end=self.history_end,
            timeline=self.timeline,
        )
        return replace(self, shown=shown)

    def __len__(self) -> int:
        return len(self.users)

    @property
    def slate_size(self) -> int:
        """Items per slate (K)."""
        return int(self.slates.shape[1])

    def histories(self, rows: NDArray[np.int64], history_size: int) -> NDArray[np.int64]:
        """Return the latest positives before the given slates.

        Args:
            rows: (batch,) int64. Row numbers of this log.
            history_size: Window length H, at least 1.

        Returns:
            (batch, history) int64. Item indices, oldest first, left-padded with PAD_ID: the
            newest positive is always in the last column.
        """
        end = self.history_end[rows][:, None]
        positions = end - history_size + np.arange(history_size, dtype=np.int64)
        inside = positions >= self.history_start[rows][:, None]
        window = np.full(positions.shape, PAD_ID, dtype=np.int64)
        window[inside] = self.timeline[positions[inside]]
        return window

    def select(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> SlateLog:
        """Return the log of some rows, picked by a bool mask or by row numbers.

        The timelines are shared, not copied.
        """
        return replace(
            self,
            slates=self.slates[rows],
            labels=self.labels[rows],
            users=self.users[rows],
            timestamps=self.timestamps[rows],
            is_train=self.is_train[rows],
            history_start=self.history_start[rows],
            history_end=self.history_end[rows],
            shown=None if self.shown is None else self.shown.select(rows),
            propensities=None if self.propensities is None else self.propensities[rows],
        )

    @property
    def train(self) -> SlateLog:
        """The training split alone."""
        return self.select(self.is_train)

    @property
    def test(self) -> SlateLog:
        """The test split alone."""
        return self.select(~self.is_train)


def split_latest(log: SlateLog, fraction: float) -> tuple[SlateLog, SlateLog]:
    """Return the earlier rows and the latest share of a log, at least one row each.

    Args:
        log: Logged slates, in any order.
        fraction: Share of the latest rows, in (0, 1).

    Raises:
        UserError: The log has fewer than two slates.
    """
    if len(log) < 2:
        raise UserError(
            f"It takes at least 2 slates to fit and to hold out, the log has {len(log)}",
            where="slates",
            remedy="Give a longer log, or lower ingestion's filters.",
        )
    order = np.argsort(log.timestamps, kind="stable")
    n_held_out = min(max(round(fraction * len(log)), 1), len(log) - 1)
    return log.select(order[:-n_held_out]), log.select(order[-n_held_out:])
