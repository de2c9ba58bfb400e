"""The log as it would look to somebody who knows the launch items alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.data.shown_timeline import ShownTimeline, build_shown_timeline
from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.shapes import PAD_ID, check_dtype


def withhold(log: SlateLog, known: NDArray[np.bool_]) -> SlateLog:
    """Return a log in which the items that are not known never occurred.

    Their slots become padding without a response; whole slates are not dropped, even if nothing is
    left of one. They leave the histories of clicks and of shown items. Whatever the log says of a
    withheld item, its clicks included, the result is the same bit for bit.

    Args:
        log: Logged slates.
        known: (item,) bool. Items that may be known; row 0 does not matter.

    Returns:
        The log with the same rows; slots of withheld items are PAD_ID with label 0 and, where
        propensities are known, NaN.

    References:
        docs/moving_catalogue.md#what-is-withheld.
    """
    check_dtype("known", known, "bool")
    seen = known.copy()
    seen[PAD_ID] = False
    shown_known = seen[log.slates]
    slates = np.where(shown_known, log.slates, PAD_ID).astype(log.slates.dtype)
    labels = np.where(shown_known, log.labels, 0).astype(log.labels.dtype)
    timeline, (start, end) = _keep(
        log.timeline, seen[log.timeline], log.history_start, log.history_end
    )
    shown = None
    if log.shown is not None:
        # made anew from what is left, because a response to a withheld item may tell which slates
        # interleave
        padded = build_shown_timeline(
            slates=slates,
            labels=labels,
            users=log.users,
            history_start=start,
            history_end=end,
            timeline=timeline,
        )
        events, (shown_start, shown_end) = _keep(
            padded.events, padded.events != PAD_ID, padded.start, padded.end
        )
        shown = ShownTimeline(events, shown_start, shown_end, padded.n_slates)
    return replace(
        log,
        slates=slates,
        labels=labels,
        timeline=timeline,
        history_start=start,
        history_end=end,
        shown=shown,
        propensities=None
        if log.propensities is None
        else np.where(shown_known, log.propensities, np.float32(np.nan)),
    )


def _keep(
    events: NDArray[np.int32], kept: NDArray[np.bool_], *pointers: NDArray[np.int64]
) -> tuple[NDArray[np.int32], list[NDArray[np.int64]]]:
    """Return the events that stay, and where pointers into all of them lead among these."""
    n_before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept, dtype=np.int64)])
    return events[kept], [n_before[pointer] for pointer in pointers]
