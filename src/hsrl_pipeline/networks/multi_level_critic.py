"""Multi-level critic: one value per decision level, fused by learned weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from hsrl_pipeline.shapes import check_shape


class MultiLevelCritic(nn.Module):
    """Values of the contexts c_0 to c_L and their learned average (MLC, Eq. 15-17).

    Every level has its own two-layer perceptron; all of them run as one batched product. The
    level weights are ordinary parameters in the graph of the value, so the critic loss moves them.

    Args:
        embedding_size: Width d of contexts.
        n_contexts: Number of contexts, ``L + 1``; 1 is the single critic of Table 3's ablation.
        hidden_size: Hidden width of each perceptron.
    """

    def __init__(self, embedding_size: int, n_contexts: int, hidden_size: int) -> None:
        super().__init__()
        self.n_contexts = n_contexts
        bound = embedding_size**-0.5
        self.hidden_weight = nn.Parameter(
            torch.empty(n_contexts, embedding_size, hidden_size).uniform_(-bound, bound)
        )
        self.hidden_bias = nn.Parameter(torch.zeros(n_contexts, 1, hidden_size))
        bound = hidden_size**-0.5
        self.value_weight = nn.Parameter(
            torch.empty(n_contexts, hidden_size, 1).uniform_(-bound, bound)
        )
        self.value_bias = nn.Parameter(torch.zeros(n_contexts, 1, 1))
        self.level_logits = nn.Parameter(torch.zeros(n_contexts))

    @property
    def level_weights(self) -> torch.Tensor:
        """(context,) float32. Softmax of the level logits, summing to 1."""
        return self.level_logits.softmax(0)

    def level_values(self, contexts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the value of every context.

        Args:
            contexts: At least ``n_contexts`` tensors (batch, embed) float32; the first
                ``n_contexts`` are read.

        Returns:
            (context, batch) float32.

        Raises:
            ValueError: There are fewer contexts than levels of the critic.
        """
        if len(contexts) < self.n_contexts:
            raise ValueError(f"critic of {self.n_contexts} contexts was given {len(contexts)}")
        stacked = torch.stack(list(contexts[: self.n_contexts]))
        check_shape("contexts", stacked, self.n_contexts, None, self.hidden_weight.shape[1])
        hidden = torch.baddbmm(self.hidden_bias, stacked, self.hidden_weight).relu()
        return torch.baddbmm(self.value_bias, hidden, self.value_weight).squeeze(-1)

    def forward(self, contexts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the weighted state value.

        Args:
            contexts: As for ``level_values``.

        Returns:
            (batch,) float32.
        """
        return self.level_weights @ self.level_values(contexts)
