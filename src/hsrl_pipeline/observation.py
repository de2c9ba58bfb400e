"""What a policy sees of a session: plain tensors, one row per parallel session."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Observation(NamedTuple):
    """State of a batch of sessions as shown to policies and critics.

    Attributes:
        user_categories: (batch, field) int64. Codes of categorical user features in
            ``[0, cardinality)``; 0 means missing.
        user_dense: (batch, dense) float32. Standardised numeric user features; may have width 0.
        history: (batch, history) int64. Clicked items, oldest first, left-padded with PAD_ID: the
            most recent click is always in the last column.
        step: (batch,) int64. Steps already taken in this session, from 0.
    """

    user_categories: torch.Tensor
    user_dense: torch.Tensor
    history: torch.Tensor
    step: torch.Tensor

    @property
    def batch_size(self) -> int:
        """Number of parallel sessions."""
        return int(self.history.shape[0])

    def rows(self, index: torch.Tensor) -> Observation:
        """Return the observation of the rows picked by an int64 index or a bool mask."""
        return Observation(*(field[index] for field in self))

    def to(self, device: torch.device | str) -> Observation:
        """Return the observation on another device."""
        return Observation(*(field.to(device) for field in self))
