"""Histories as pointers into one timeline of events, and what of them policies may know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hsrl_pipeline.data.shown_timeline import ShownTimeline
from hsrl_pipeline.shapes import PAD_ID


@dataclass(frozen=True)
class ShownHistories:
    """What happened to users before the slates of a pool: items shown or clicked.

    Attributes:
        events: (event,) int32. Items of each user in time order, user after user; negative where
            the item was shown and not clicked.
        start: (row,) int64. First entry of the row's user in ``events``.
        end: (row,) int64. End, exclusive, of what happened before the slate.
    """

    events: torch.Tensor
    start: torch.Tensor
    end: torch.Tensor

    @classmethod
    def from_timeline(cls, shown: ShownTimeline) -> ShownHistories:
        """Return the tensors over a log's arrays."""
        return cls(*(tensor_over(part) for part in (shown.events, shown.start, shown.end)))

    def to(self, device: torch.device | str) -> ShownHistories:
        """Return the histories on another device."""
        return ShownHistories(self.events.to(device), self.start.to(device), self.end.to(device))

    def latest(self, rows: torch.Tensor, size: int) -> torch.Tensor:
        """Return the last events before the slates of rows.

        Args:
            rows: (batch,) int64. Row numbers.
            size: Length of the window.

        Returns:
            (batch, size) int64. Left-padded with PAD_ID, newest last.
        """
        start, end = self.start[rows], self.end[rows]
        if not len(self.events):
            return torch.full((len(end), size), PAD_ID, device=end.device)
        positions = end[:, None] + torch.arange(-size, 0, device=end.device)
        inside = positions >= start[:, None]
        return self.events[positions.clamp_(min=0)].to(torch.int64).masked_fill_(~inside, PAD_ID)

    def keep(self, published: torch.Tensor) -> ShownHistories:
        """Return the histories without the events of items that are not published.

        Args:
            published: (item,) bool.
        """
        kept = published[self.events.abs().long()]
        before = torch.nn.functional.pad(kept.cumsum(0), (1, 0))
        return ShownHistories(self.events[kept], before[self.start], before[self.end])


def drop_unpublished(
    history: torch.Tensor, responses: torch.Tensor, published: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return windows without the items that are not published; the others close up.

    Args:
        history: (batch, history) int64. Left-padded with PAD_ID, newest last.
        responses: (batch, history) int64, or (batch, 0).
        published: (item,) bool.

    Returns:
        History and responses of the same shapes, left-padded.
    """
    kept = published[history] & (history != PAD_ID)
    order = kept.long().argsort(dim=1, stable=True)
    history = history.masked_fill(~kept, PAD_ID).gather(1, order)
    if responses.shape[1]:
        responses = responses.masked_fill(~kept, 0).gather(1, order)
    return history, responses


def tensor_over(array: np.ndarray) -> torch.Tensor:
    """Return a tensor over a numpy array's memory; read-only arrays are copied."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())
