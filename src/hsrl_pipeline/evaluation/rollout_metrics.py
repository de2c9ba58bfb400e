"""Figures of merit of a policy from the records of its sessions."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.evaluation.session_records import SessionRecords
from hsrl_pipeline.shapes import PAD_ID

HEAD_SHARE = 0.2
"""Share of the items, by training clicks, that form the head; the rest is the long tail."""


def session_metrics(records: SessionRecords, long_tail: NDArray[np.bool_]) -> dict[str, float]:
    """Return the metrics of a policy that are one number each.

    Args:
        records: All sessions of the policy on one simulator.
        long_tail: (item,) bool. Items outside the head, see ``long_tail_items``.

    Returns:
        ``total_reward`` and ``depth``: means per session. ``clicks_per_slot``: clicks over slots
        shown. ``coverage``: distinct items shown. ``repetition_rate``: share of shown items
        already shown in their session. ``intra_list_diversity``: one minus the mean cosine
        similarity of the pairs of a slate, averaged over slates; NaN for slates of one item.
        ``gini``: inequality of exposure over all items, 0 equal to 1 all on one.
        ``long_tail_share``: share of the slots given to the long tail.
    """
    n_slates = int(records.depth.sum())
    n_slots = n_slates * records.slate_size
    return {
        "total_reward": float(records.total_reward.mean()),
        "depth": float(records.depth.mean()),
        "clicks_per_slot": float(records.clicks.sum()) / n_slots,
        "coverage": float(np.count_nonzero(records.exposures)),
        "repetition_rate": float(records.repeated.sum()) / n_slots,
        "intra_list_diversity": 1.0 - float(records.similarity.sum()) / n_slates,
        "gini": gini_index(records.exposures[PAD_ID + 1 :]),
        "long_tail_share": float(records.exposures[long_tail].sum()) / n_slots,
    }


def gini_index(counts: NDArray[np.int64]) -> float:
    """Return the Gini index of non-negative counts.

    Args:
        counts: (item,) int64. At least one entry is positive.

    Returns:
        0 when all are equal, (n - 1) / n when one of n has everything.
    """
    ordered = np.sort(counts).astype(np.float64)
    n = len(ordered)
    weights = 2.0 * np.arange(1, n + 1) - n - 1
    return float((weights * ordered).sum() / (n * ordered.sum()))


def long_tail_items(training_clicks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which items lie outside the fifth with the most training clicks.

    Args:
        training_clicks: (item,) int64. Clicks in the training split; entry 0 is padding.

    Returns:
        (item,) bool. False for padding and for the head; equal counts go by item number.
    """
    n_items = len(training_clicks) - 1
    order = np.argsort(-training_clicks[PAD_ID + 1 :], kind="stable") + 1
    tail = np.ones(n_items + 1, dtype=bool)
    tail[PAD_ID] = False
    tail[order[: int(np.ceil(HEAD_SHARE * n_items))]] = False
    return tail


def step_table(records: SessionRecords) -> pd.DataFrame:
    """Return the mean reward by step, over the sessions still running at that step.

    Args:
        records: All sessions of one policy on one simulator.

    Returns:
        One row per step that any session reached: ``step`` (from 1), ``n_sessions``, ``survival``
        (share of all sessions), ``reward``.
    """
    running = ~np.isnan(records.rewards)
    n_sessions = running.sum(axis=0)
    reached = n_sessions > 0
    return pd.DataFrame(
        {
            "step": np.flatnonzero(reached) + 1,
            "n_sessions": n_sessions[reached],
            "survival": n_sessions[reached] / len(records.rewards),
            "reward": np.nansum(records.rewards[:, reached], axis=0) / n_sessions[reached],
        }
    )


def user_table(records: SessionRecords) -> pd.DataFrame:
    """Return the means per user.

    Args:
        records: All sessions of one policy on one simulator.

    Returns:
        One row per user that had a session, by user index: ``user_index``, ``n_sessions``,
        ``total_reward``, ``depth``.
    """
    sessions = pd.DataFrame(
        {
            "user_index": records.users.astype(np.int32),
            "total_reward": records.total_reward,
            "depth": records.depth,
        }
    )
    grouped = sessions.groupby("user_index", sort=True)
    table = grouped[["total_reward", "depth"]].mean()
    table.insert(0, "n_sessions", grouped.size())
    return table.reset_index()
