"""What logged users were shown and how they responded, in one timeline beside that of positives.

It is made in memory from the slates' own rows, so no table holds it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ShownTimeline:
    """Shown items of each user with their responses, and what of it lies before each slate.

    Attributes:
        events: (event,) int32. Shown items in time order, user after user: the item number where
            the response was positive, its negative where it was not.
        start: (row,) int64. First entry of the row's user.
        end: (row,) int64. End, exclusive, of what the user had been shown before the slate.
        n_slates: (row,) int64. How many slates of the user lie before this one; in time order,
            they are the user's first.
    """

    events: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    n_slates: NDArray[np.int64]

    def select(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> ShownTimeline:
        """Return the pointers of some rows; the events are shared, not copied."""
        return replace(
            self, start=self.start[rows], end=self.end[rows], n_slates=self.n_slates[rows]
        )


def build_shown_timeline(
    *,
    slates: NDArray[np.int32],
    labels: NDArray[np.int8],
    users: NDArray[np.int32],
    history_start: NDArray[np.int64],
    history_end: NDArray[np.int64],
    timeline: NDArray[np.int32],
) -> ShownTimeline:
    """Return what users were shown before each of their slates.

    That is all earlier slates of the user, slot by slot. Positives that are in no slate (a click
    history that came with the log, the rest of a session that filled no slate) stand where they
    happened. A slate whose events interleave with those of another is not before it.

    Args:
        slates: (row, slate) int32. Shown items; rows of one user in time order.
        labels: (row, slate) int8. 1 for a positive response.
        users: (row,) int32. User indices.
        history_start: (row,) int64. First entry of the user in ``timeline``.
        history_end: (row,) int64. End, exclusive, of the positives before the slate.
        timeline: (event,) int32. Positive items of each user in time order, user after user.

    References:
        docs/protocol.md#the-history.
    """
    n_rows, slate_size = slates.shape
    order = np.argsort(users, kind="stable")
    own_row = np.arange(n_rows)
    is_first = np.ones(n_rows, bool)
    is_first[1:] = users[order][1:] != users[order][:-1]
    first_row = np.maximum.accumulate(np.where(is_first, own_row, 0))
    # Numbers of one user are compared with each other alone: users lie further apart than any.
    apart = first_row * (len(timeline) + slate_size + 1)

    known = (history_end - history_start)[order]
    clicks = labels.sum(axis=1, dtype=np.int64)[order]
    reached = np.maximum.accumulate(apart + known + clicks)
    n_before = np.searchsorted(reached, apart + known, side="right").clip(first_row, own_row)
    all_before = n_before == own_row

    clicks_before = clicks.cumsum() - clicks
    clicks_before -= clicks_before[first_row]
    loose = np.maximum.accumulate(apart + np.where(all_before, known - clicks_before, 0)) - apart
    fresh = np.diff(loose, prepend=0)
    fresh[is_first] = loose[is_first]

    own_end = (fresh + slate_size).cumsum()
    own_start = own_end - slate_size
    block_start = own_start - fresh
    events = np.empty(int(own_end[-1]) if n_rows else 0, np.int32)
    signed = np.where(labels > 0, slates, -slates)[order]
    events[own_start[:, None] + np.arange(slate_size)] = signed
    owner = np.repeat(own_row, fresh)
    nth = np.arange(len(owner)) - (fresh.cumsum() - fresh)[owner]
    events[block_start[owner] + nth] = timeline[(history_end[order] - fresh)[owner] + nth]

    start, end, n_slates = (np.empty(n_rows, np.int64) for _ in range(3))
    start[order] = block_start[first_row]
    earlier_end = np.where(n_before > first_row, own_end[n_before - 1], block_start[first_row])
    end[order] = np.where(all_before, own_start, earlier_end)
    n_slates[order] = n_before - first_row
    return ShownTimeline(events, start, end, n_slates)
