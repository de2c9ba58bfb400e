"""Recall and NDCG of policies on the test slates of the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hsrl_pipeline.agents.base import Policy
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.evaluation.bootstrap import bootstrap_intervals
from hsrl_pipeline.evaluation.logged_starts import (
    LoggedStarts,
    draw_rows,
    slates_one_after_another,
)
from hsrl_pipeline.evaluation.ranking_metrics import (
    clicked_items,
    means_by_user,
    recall_and_ndcg,
)
from hsrl_pipeline.evaluation.side_by_side import run_side_by_side
from hsrl_pipeline.progress import Progress
from hsrl_pipeline.simulator.session_data import SessionData
from hsrl_pipeline.simulator.session_setting import SessionSetting

LARGER_K = 10
"""The larger k is the smallest multiple of the slate size, two slates or more, that reaches it."""

METRICS = ("recall", "ndcg", "larger_recall", "larger_ndcg")

COLUMNS = (
    "policy",
    "seed",
    "regime",
    "k",
    *(name + end for name in METRICS[:2] for end in ("", "_ci_low", "_ci_high")),
    "larger_k",
    *(name + end for name in METRICS[2:] for end in ("", "_ci_low", "_ci_high")),
    "n_users",
    "n_slates",
    "n_slates_without_click",
)


def rank_test_slates(
    policies: Mapping[str, Callable[[], Policy]],
    data: SessionData,
    sessions: SessionSetting,
    evaluation: EvaluationConfig,
    *,
    seed: int,
) -> pd.DataFrame:
    """Compare what policies would show first at the test slates with what was clicked there.

    Every policy ranks the whole catalogue: its greedy slate, then the next best one. The figures of
    a user's slates are averaged first, then those of the users.

    Args:
        policies: What makes each policy, by name.
        data: The log and its users.
        sessions: Rules, sizes and device of the sessions.
        evaluation: Number of slates, seed, resamples.
        seed: Seed of the run; names the rows.

    Returns:
        One row per policy, see ``COLUMNS``; without rows where no test slate has a click.

    References:
        docs/evaluation.md#ranking-on-the-test-slates.
    """
    log = draw_rows(data.log.test, evaluation.n_logged_slates, evaluation.seed)
    clicked_log = log.select(np.flatnonzero((log.labels > 0).any(axis=1)))
    if not len(clicked_log):
        return pd.DataFrame({name: [] for name in COLUMNS})
    starts = LoggedStarts(
        clicked_log,
        data.users,
        sessions,
        batch_size=evaluation.batch_size,
        seed=evaluation.seed,
    )
    n_slates = slates_per_ranking(data, sessions)
    clicked = clicked_items(clicked_log.slates, clicked_log.labels)
    means = []
    total = len(policies) * len(clicked_log)
    with Progress("Ranking", total, unit="slates") as progress:
        for make in policies.values():
            ask = partial(_ranked, make(), starts, n_slates)
            work = [partial(ask, batch) for batch in starts.batches]
            ranked = np.concatenate(run_side_by_side(work, sessions.device, progress))
            depths = (ranked[:, : sessions.slate_size], ranked)
            values = [figure for depth in depths for figure in recall_and_ndcg(depth, clicked)]
            means.append(means_by_user(np.column_stack(values), clicked_log.users))
    # all at once, because picking the users of each resample takes longest
    ends = bootstrap_intervals(np.hstack(means), evaluation.n_resamples, evaluation.seed)
    shared = {
        "seed": seed,
        "regime": sessions.candidates.regime,
        "k": sessions.slate_size,
        "larger_k": n_slates * sessions.slate_size,
        "n_users": len(means[0]),
        "n_slates": len(clicked_log),
        "n_slates_without_click": len(log) - len(clicked_log),
    }
    by_policy = zip(policies, means, ends.reshape(len(means), len(METRICS), 2), strict=True)
    rows = [
        {"policy": name} | shared | _figures(own.mean(axis=0), interval)
        for name, own, interval in by_policy
    ]
    return pd.DataFrame(rows)[list(COLUMNS)]


def _figures(values: NDArray[np.float64], ends: NDArray[np.float64]) -> dict[str, float]:
    """Return a policy's (metric,) figures and (metric, 2) ends of intervals by column."""
    figures = dict(zip(METRICS, values.tolist(), strict=True))
    for metric, (low, high) in zip(METRICS, ends.tolist(), strict=True):
        figures |= {f"{metric}_ci_low": low, f"{metric}_ci_high": high}
    return figures


def slates_per_ranking(data: SessionData, sessions: SessionSetting) -> int:
    """Return how many slates make the ranking of the larger k, as far as there are items.

    Args:
        data: Which items have a semantic ID, without which some agents never show them.
        sessions: Slate size and shelves.
    """
    shown = np.flatnonzero((data.codebook.codes >= 0).all(axis=1))
    shelves = np.ones(sessions.n_items + 1, np.int64)
    if sessions.shelves is not None:
        shelves = sessions.shelves
    sizes = np.bincount(shelves[shown])[np.unique(shelves[1:])]
    available = int(sizes.min()) * len(sizes) // sessions.slate_size
    return max(min(max(2, -(-LARGER_K // sessions.slate_size)), available), 1)


@torch.no_grad()
def _ranked(
    policy: Policy, starts: LoggedStarts, n_slates: int, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return (batch, rank) int64, the items that a policy ranks first at some slates."""
    told = starts.told(policy, starts.state(rows), rows)
    generator = starts.generator("ranking", rows)
    slates = slates_one_after_another(policy, told, n_slates, generator)
    return torch.cat(list(slates), dim=1).cpu().numpy()
