"""What happened in the sessions of a policy: written step by step, joined from batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hsrl_pipeline.shapes import PAD_ID

BY_ITEM = ("exposures", "item_clicks")
"""What is counted by item, where all else is kept by session."""


@dataclass(frozen=True)
class SessionRecords:
    """What happened in the sessions of one policy on one simulator.

    Attributes:
        users: (episode,) int64. User index of each session.
        rewards: (episode, horizon) float64. Reward of each step; NaN after the end.
        clicks: (episode,) int64. Clicked items of each session.
        exposures: (item,) int64. How often each item was shown; entry 0 is 0.
        item_clicks: (item,) int64. How often each item was clicked; entry 0 is 0.
        repeated: (episode,) int64. Shown items that the session had already been shown.
        similarity: (episode,) float64. Sum over the session's slates of the mean cosine
            similarity of their pairs of items; NaN where a slate has no pair.
        slate_size: Items per slate, K.
    """

    users: NDArray[np.int64]
    rewards: NDArray[np.float64]
    clicks: NDArray[np.int64]
    exposures: NDArray[np.int64]
    item_clicks: NDArray[np.int64]
    repeated: NDArray[np.int64]
    similarity: NDArray[np.float64]
    slate_size: int

    @property
    def total_reward(self) -> NDArray[np.float64]:
        """(episode,) float64. Sum of the rewards of each session."""
        total: NDArray[np.float64] = np.nansum(self.rewards, axis=1)
        return total

    @property
    def depth(self) -> NDArray[np.int64]:
        """(episode,) int64. Steps of each session."""
        steps: NDArray[np.int64] = (~np.isnan(self.rewards)).sum(axis=1)
        return steps


class BatchRecords(NamedTuple):
    """What happened in some of the sessions; the fields are those of ``SessionRecords``."""

    users: torch.Tensor
    rewards: torch.Tensor
    clicks: torch.Tensor
    exposures: torch.Tensor
    item_clicks: torch.Tensor
    repeated: torch.Tensor
    similarity: torch.Tensor

    def __len__(self) -> int:
        """Return the number of sessions."""
        return len(self.users)


class SessionRecorder:
    """Tensors that a batch of sessions writes its steps to.

    Args:
        batch: Number of sessions.
        horizon: Longest session in steps.
        slate_size: Items per slate, K.
        device: Where the sessions live.
    """

    def __init__(self, batch: int, horizon: int, slate_size: int, device: str) -> None:
        self._rewards = torch.full((batch, horizon), torch.nan, dtype=torch.float64, device=device)
        self._clicks = torch.zeros(batch, dtype=torch.int64, device=device)
        self._similarity = torch.zeros(batch, dtype=torch.float64, device=device)
        size = (batch, horizon, slate_size)
        self._shown = torch.full(size, PAD_ID, dtype=torch.int64, device=device)
        self._clicked = torch.zeros(size, dtype=torch.bool, device=device)

    def write(
        self,
        step: int,
        playing: torch.Tensor,
        slates: torch.Tensor,
        clicks: torch.Tensor,
        *,
        reward: torch.Tensor,
        similarity: torch.Tensor,
    ) -> None:
        """Write one step of the sessions that are still going on.

        Args:
            step: Steps before this one.
            playing: (playing,) int64. Which sessions these are.
            slates: (playing, slate) int64. Shown items.
            clicks: (playing, slate) float32. 1.0 where the item was clicked.
            reward: (playing,) float64. Slate reward.
            similarity: (playing,) float64. Mean cosine similarity of the slate's pairs.
        """
        self._rewards[playing, step] = reward
        self._clicks[playing] += clicks.sum(dim=1).to(torch.int64)
        self._similarity[playing] += similarity
        self._shown[playing, step] = slates
        self._clicked[playing, step] = clicks > 0

    def records(self, users: torch.Tensor, n_items: int) -> BatchRecords:
        """Return what has been written.

        Args:
            users: (batch,) int64. User index of each session.
            n_items: Number of real items.
        """
        exposures, item_clicks = self._by_item(n_items)
        return BatchRecords(
            users=users,
            rewards=self._rewards,
            clicks=self._clicks,
            exposures=exposures,
            item_clicks=item_clicks,
            repeated=self._repeated(),
            similarity=self._similarity,
        )

    def _by_item(self, n_items: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (item,) int64 each: how often items were shown and clicked."""
        counts = []
        for items in (self._shown.flatten(), self._shown[self._clicked]):
            count = torch.bincount(items, minlength=n_items + 1)
            count[PAD_ID] = 0  # the unused steps of finished sessions
            counts.append(count)
        return counts[0], counts[1]

    def _repeated(self) -> torch.Tensor:
        """Return (batch,) int64: shown items that appeared earlier in their session."""
        ordered = self._shown.flatten(1).sort(dim=1).values
        return ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != PAD_ID)).sum(dim=1)


def join_batches(batches: Sequence[BatchRecords], slate_size: int) -> SessionRecords:
    """Return the records of all sessions.

    Args:
        batches: In the order of their episodes.
        slate_size: Items per slate, K.
    """
    columns = {
        name: torch.cat([getattr(batch, name) for batch in batches]).cpu().numpy()
        for name in BatchRecords._fields
        if name not in BY_ITEM
    }
    for name in BY_ITEM:
        counts = torch.stack([getattr(batch, name) for batch in batches])
        columns[name] = counts.sum(0).cpu().numpy()
    return SessionRecords(**columns, slate_size=slate_size)
