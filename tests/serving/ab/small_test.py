"""Simulated users of the small model: half of its items are liked."""

from __future__ import annotations

from dataclasses import replace

import torch
from tests.agents.test_conformance import HISTORY, N_ITEMS, SLATE

from hsrl_pipeline.config.session import (
    CandidatesConfig,
    HistoryForm,
    RewardConfig,
    SessionConfig,
)
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.serving.ab.visitors import Visitors
from hsrl_pipeline.simulator.event_histories import ShownHistories
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.user_pool import UserPool

from ..small_model import IDS, USERS

LIKED = 6
"""Items up to this one are liked."""


class LikesTheFirst:
    """Everybody clicks liked items nine times in ten, and others once in ten."""

    def probabilities(self, observation: Observation, slates: torch.Tensor) -> torch.Tensor:
        return torch.where(slates <= LIKED, 0.9, 0.1)


def small_visitors(
    *, exclude_shown: bool = False, seed: int = 3, history: HistoryForm = "clicks"
) -> Visitors:
    """Return simulated users; with ``history="responses"`` policies are told of skips."""
    rows = 20
    generator = torch.Generator().manual_seed(3)
    histories = torch.randint(1, N_ITEMS + 1, (rows, HISTORY), generator=generator)
    histories[::4] = 0
    histories[1::4, :2] = 0
    categories = torch.arange(rows)[:, None] % 4
    pool = UserPool.from_rows(categories, torch.linspace(-1, 1, rows)[:, None], histories)
    if history == "responses":
        pool = told_of_skips(pool)
    return Visitors(
        judge=LikesTheFirst(),
        pool=pool,
        setting=SessionSetting(
            session=SessionConfig(
                horizon=4, history_size=HISTORY, initial_patience=8.0, history=history
            ),
            reward=RewardConfig(),
            candidates=CandidatesConfig(exclude_shown=exclude_shown),
            slate_size=SLATE,
            n_items=N_ITEMS,
        ),
        item_ids=IDS,
        user_ids=("", *(f"user {number}" for number in range(1, rows + 1))),
        features=USERS,
        seed=seed,
    )


def told_of_skips(pool: UserPool) -> UserPool:
    """Return a pool in which everybody skipped item 12 before each click."""
    clicks = pool.timeline.to(torch.int64)
    events = torch.stack([torch.full_like(clicks, -N_ITEMS), clicks], dim=1).flatten()
    shown = ShownHistories(events, 2 * pool.history_start, 2 * pool.history_end)
    return replace(pool, shown=shown)
