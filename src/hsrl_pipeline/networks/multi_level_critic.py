"""Multi-level critic: one value per decision level, fused by learned or equal weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from hsrl_pipeline.networks.level_values import LevelValues


class MultiLevelCritic(LevelValues):
    """Values of the contexts c_0 to c_L and their weighted average (MLC, Eq. 15-17).

    The level weights are ordinary parameters in the graph of the value, so the critic loss moves
    them. With equal weights instead there is nothing to move, and no state to keep.

    Args:
        embedding_size: Width d of contexts.
        n_contexts: Number of contexts, ``L + 1``; 1 is the single critic of Table 3's ablation.
        hidden_size: Hidden width of each perceptron.
        learned_weights: Whether the level weights are learned (Eq. 16); else all are equal.
    """

    level_logits: torch.Tensor

    def __init__(
        self,
        embedding_size: int,
        n_contexts: int,
        hidden_size: int,
        *,
        learned_weights: bool = True,
    ) -> None:
        super().__init__(embedding_size, n_contexts, hidden_size)
        logits = torch.zeros(n_contexts)
        if learned_weights:
            self.level_logits = nn.Parameter(logits)
        else:
            self.register_buffer("level_logits", logits, persistent=False)

    @property
    def level_weights(self) -> torch.Tensor:
        """(context,) float32. Softmax of the level logits, summing to 1."""
        return self.level_logits.softmax(0)

    def forward(self, contexts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the weighted state value.

        Args:
            contexts: As for ``level_values``.

        Returns:
            (batch,) float32.
        """
        return self.level_weights @ self.level_values(contexts)
