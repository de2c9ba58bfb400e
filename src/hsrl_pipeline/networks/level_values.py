"""A value for each of several contexts, by a perceptron of each one's own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from hsrl_pipeline.shapes import check_shape


class LevelValues(nn.Module):
    """One two-layer perceptron per context (Eq. 15); all of them run as one batched product.

    Args:
        embedding_size: Width d of contexts.
        n_contexts: Number of contexts.
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
