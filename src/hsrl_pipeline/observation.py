"""What a policy sees of a session: plain tensors, one row per parallel session."""

from __future__ import annotations

from typing import NamedTuple

import torch
from typing_extensions import Self


class _ObservationFields(NamedTuple):
    user_categories: torch.Tensor
    user_dense: torch.Tensor
    history: torch.Tensor
    step: torch.Tensor
    shown: torch.Tensor
    responses: torch.Tensor


class Observation(_ObservationFields):
    """State of a batch of sessions as shown to policies and critics.

    Attributes:
        user_categories: (batch, field) int64. Codes of categorical user features in
            ``[0, cardinality)``; 0 means missing.
        user_dense: (batch, dense) float32. Standardised numeric user features; may have width 0.
        history: (batch, history) int64. Clicked items, oldest first, left-padded with PAD_ID: the
            most recent click is always in the last column. Where ``responses`` has columns: shown
            items, clicked or not, slot by slot.
        step: (batch,) int64. Steps already taken in this session, from 0.
        shown: (batch, shown) int64. Items already shown in this session that may not be shown
            again, each once, PAD_ID elsewhere; width 0, the default, when every item stays
            allowed.
        responses: (batch, history) int64. 1 where the item of ``history`` was clicked, 0 where it
            was not and at padding; width 0, the default, when ``history`` holds clicks alone.
    """

    __slots__ = ()

    def __new__(  # noqa: PLR0917 (a tuple of its fields makes an observation)
        cls,
        user_categories: torch.Tensor,
        user_dense: torch.Tensor,
        history: torch.Tensor,
        step: torch.Tensor,
        shown: torch.Tensor | None = None,
        responses: torch.Tensor | None = None,
    ) -> Self:
        """Return an observation; by default every item stays allowed and all history is clicks."""
        nothing = history.new_empty((history.shape[0], 0))
        return super().__new__(
            cls,
            user_categories,
            user_dense,
            history,
            step,
            nothing if shown is None else shown,
            nothing if responses is None else responses,
        )

    @property
    def batch_size(self) -> int:
        """Number of parallel sessions."""
        return int(self.history.shape[0])

    def rows(self, index: torch.Tensor) -> Observation:
        """Return the observation of the rows picked by an int64 index or a bool mask."""
        return Observation(*(field[index] for field in self))

    def repeat(self, times: int) -> Observation:
        """Return the observation several times over, one whole batch below the other."""
        return Observation(*(field.repeat(times, *[1] * (field.dim() - 1)) for field in self))

    def to(self, device: torch.device | str) -> Observation:
        """Return the observation on another device."""
        return Observation(*(field.to(device) for field in self))

    def mask_shown(self, item_scores: torch.Tensor) -> torch.Tensor:
        """Return item scores with minus infinity for padding and items that may not be shown.

        Args:
            item_scores: (batch, item) float. Column 0 is padding.

        Returns:
            (batch, item) float. A new tensor; the input is left as it is.
        """
        # PAD_ID fills the free places of ``shown``, so column 0 is written in any case.
        masked = item_scores.scatter(1, self.shown, -torch.inf)
        masked[:, 0] = -torch.inf
        return masked
