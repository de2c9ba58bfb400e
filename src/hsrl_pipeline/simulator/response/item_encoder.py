"""What a response model reads of an item: content, statistics and a learned embedding."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hsrl_pipeline.data.click_statistics import click_log_odds
from hsrl_pipeline.shapes import PAD_ID, check_shape


class ItemProjection(NamedTuple):
    """All that the forward pass reads of an item, one row per item.

    Attributes:
        memory: (item, 2 * embed) float32. Attention keys and values side by side, so that one
            gather fetches both.
        targets: (item, embed) float32. What the state is multiplied with.
        bias: (item,) float32. Log-odds of the item apart from the user; ``-inf`` for PAD_ID.
    """

    memory: torch.Tensor
    targets: torch.Tensor
    bias: torch.Tensor


class ItemEncoder(nn.Module):
    """Projects items to attention memory, targets and biases.

    An item is its projected features plus a learned embedding of its index. Features are content
    and statistics of the fitting rows. Statistics, embedding and bias of an item that training
    never saw are switched off, so that its content alone answers for a cold item;
    ``id_dropout`` makes items look like that in training.

    Args:
        content: (item, content) float32. Item content, row 0 zeros; scaled by the caller.
        statistics: (item, statistic) float32. What the fitting rows say of each item.
        item_clicks: (item,) int64. Clicks of each item in the fitting rows.
        item_exposures: (item,) int64. Appearances of each item in the fitting rows.
        width: Width of the representation.
        id_dropout: Share of items that a training step treats as never seen, in [0, 1).

    Raises:
        ValueError: The tables differ in their number of rows.
    """

    content: torch.Tensor
    statistics: torch.Tensor
    seen: torch.Tensor

    def __init__(
        self,
        content: NDArray[np.float32],
        statistics: NDArray[np.float32],
        item_clicks: NDArray[np.int64],
        item_exposures: NDArray[np.int64],
        *,
        width: int,
        id_dropout: float,
    ) -> None:
        super().__init__()
        rows = len(content)
        check_shape("statistics", statistics, rows, None)
        check_shape("item_clicks", item_clicks, rows)
        check_shape("item_exposures", item_exposures, rows)
        self.width = width
        self.id_dropout = id_dropout
        self.n_features = content.shape[1] + statistics.shape[1]
        prior, bias = click_log_odds(item_clicks, item_exposures)
        self.register_buffer("content", torch.as_tensor(content, dtype=torch.float32))
        self.register_buffer("statistics", torch.as_tensor(statistics, dtype=torch.float32))
        self.register_buffer("seen", torch.as_tensor(item_exposures > 0))
        self.embedding = nn.Embedding(rows, width)
        nn.init.normal_(self.embedding.weight, std=0.05)
        self.bias = nn.Parameter(torch.as_tensor(bias, dtype=torch.float32))
        self.global_bias = nn.Parameter(torch.tensor(prior, dtype=torch.float32))
        self.feature_projection = nn.Sequential(
            nn.Linear(max(self.n_features, 1), width), nn.GELU(), nn.Linear(width, width)
        )
        self.feature_bias = nn.Linear(max(self.n_features, 1), 1, bias=False)
        self.memory_projection = nn.Linear(width, 2 * width)
        self.target_projection = nn.Linear(width, width, bias=False)

    def forward(self, items: torch.Tensor | None = None) -> ItemProjection:
        """Project the given items, or all of them.

        Args:
            items: (row,) int64. Distinct items, or None for the catalogue.

        Returns:
            One row per given item.
        """
        if items is None:
            items = torch.arange(len(self.content), device=self.content.device)
        known = self.seen[items]
        if self.training and self.id_dropout > 0.0:
            known = known & (torch.rand(known.shape, device=known.device) >= self.id_dropout)
        known_rows = known.unsqueeze(-1)
        encoded = self.embedding(items) * known_rows
        bias = self.global_bias + self.bias[items] * known
        if self.n_features:
            features = torch.cat([self.content[items], self.statistics[items] * known_rows], dim=1)
            encoded = encoded + self.feature_projection(features)
            bias = bias + self.feature_bias(features).squeeze(-1)
        return ItemProjection(
            memory=self.memory_projection(encoded),
            targets=self.target_projection(encoded) / math.sqrt(self.width),
            bias=bias.masked_fill(items == PAD_ID, -torch.inf),
        )
