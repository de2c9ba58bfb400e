"""The learned user: attention over the history with the user vector as its single query.

A dot product with the item vector follows (HSRL paper, App. B, and the HAC family of response
models).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from typing_extensions import Self

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.shapes import PAD_ID, check_shape
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.response.item_encoder import ItemEncoder, ItemProjection


@dataclass(frozen=True)
class ResponseSizes:
    """Sizes that determine the parameters of an ``AttentionResponse``.

    Attributes:
        n_items: Number of real items.
        category_sizes: Cardinality of each categorical user feature, code 0 for missing included.
        n_dense: Number of numeric user features; may be 0.
        content_size: Width of the item content features; may be 0.
        history_size: Length H of the history window.
        embed_dim: Width of user, item and state vectors; a multiple of ``n_heads``.
        n_heads: Attention heads.
        statistics_size: Width of what the fitting rows say of an item; may be 0.
    """

    n_items: int
    category_sizes: tuple[int, ...]
    n_dense: int
    content_size: int
    history_size: int
    embed_dim: int
    n_heads: int
    statistics_size: int = 0

    def __post_init__(self) -> None:
        if self.embed_dim % self.n_heads:
            raise ValueError(
                f"embed_dim {self.embed_dim} is not a multiple of n_heads {self.n_heads}"
            )


class AttentionResponse(UserResponseModel):
    """Attention of the user over the history, multiplied with the vector of each item.

    Args:
        sizes: Sizes of the parameters.
        content: (item, content) float32. Item content, row 0 zeros; scaled by the caller.
        item_clicks: (item,) int64. Clicks of each item in the fitting rows.
        item_exposures: (item,) int64. Appearances of each item in the fitting rows.
        statistics: (item, statistic) float32. What else the fitting rows say of each item; may be
            left out when its width is 0.
        dropout: Dropout rate of attention weights and state while training, in [0, 1).
        history_dropout: Share of history entries hidden while training, in [0, 1).
        id_dropout: Share of items that a training step treats as never seen, in [0, 1).

    Raises:
        ValueError: A table has another number of rows than ``n_items + 1``.
    """

    category_offsets: torch.Tensor
    calibration_scale: torch.Tensor
    calibration_shift: torch.Tensor

    def __init__(
        self,
        sizes: ResponseSizes,
        content: NDArray[np.float32],
        item_clicks: NDArray[np.int64],
        item_exposures: NDArray[np.int64],
        statistics: NDArray[np.float32] | None = None,
        *,
        dropout: float = 0.0,
        history_dropout: float = 0.0,
        id_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_shape("content", content, sizes.n_items + 1, sizes.content_size)
        if statistics is None:
            statistics = np.zeros((len(content), 0), dtype=np.float32)
        check_shape("statistics", statistics, len(content), sizes.statistics_size)
        self.sizes = sizes
        self.n_items = sizes.n_items
        self.history_size = sizes.history_size
        self.history_dropout = history_dropout
        width = sizes.embed_dim
        offsets = np.concatenate([[0], np.cumsum(sizes.category_sizes)[:-1]]).astype(np.int64)
        self.register_buffer(
            "category_offsets", torch.as_tensor(offsets[: len(sizes.category_sizes)])
        )
        self.register_buffer("calibration_scale", torch.ones(()))
        self.register_buffer("calibration_shift", torch.zeros(()))

        self.items = ItemEncoder(
            content,
            statistics,
            item_clicks,
            item_exposures,
            width=width,
            id_dropout=id_dropout,
        )
        self.category_embedding = nn.Embedding(max(sum(sizes.category_sizes), 1), width)
        nn.init.zeros_(self.category_embedding.weight)  # a code training never saw says nothing
        self.dense_projection = nn.Linear(max(sizes.n_dense, 1), width, bias=False)
        self.base_user = nn.Parameter(torch.randn(width) * 0.1)
        self.user_norm = nn.LayerNorm(width)
        self.query_projection = nn.Linear(width, width)
        self.recency_bias = nn.Parameter(torch.zeros(sizes.n_heads, sizes.history_size))
        self.empty_memory = nn.Parameter(torch.randn(2 * width) * 0.1)
        self.context_projection = nn.Linear(width, width)
        self.length_projection = nn.Linear(1, width, bias=False)
        self.state_norm = nn.LayerNorm(width)
        self.state_hidden = nn.Linear(width, 2 * width)
        self.state_output = nn.Linear(2 * width, width)
        self.output_norm = nn.LayerNorm(width)
        self.state_bias = nn.Linear(width, 1, bias=False)
        self.dropout = nn.Dropout(dropout)
        self._frozen: bool = False

    def logits(
        self,
        user_categories: torch.Tensor,
        user_dense: torch.Tensor,
        history: torch.Tensor,
        slates: torch.Tensor,
    ) -> torch.Tensor:
        """Return the log-odds of a click on each item of a slate; see the base class."""
        self._check(user_categories, user_dense, history)
        check_shape("slates", slates, history.shape[0], None)
        items, history_rows, slate_rows = self._project(history, slates)
        state = self._encode_state(user_categories, user_dense, history, items.memory, history_rows)
        targets = nn.functional.embedding(slate_rows, items.targets)
        raw = torch.bmm(targets, state.unsqueeze(-1)).squeeze(-1) + items.bias[slate_rows]
        return self._finish(raw, state)

    def scores_all(self, observation: Observation) -> torch.Tensor:
        """Return the log-odds of a click on every item; see the base class."""
        self._check(*observation[:3])
        items = self._item_tables()
        state = self._encode_state(*observation[:3], items.memory, observation.history)
        return self._finish(torch.addmm(items.bias, state, items.targets.T), state)

    def calibrate(self, scale: float, shift: float) -> None:
        """Set the affine map that turns raw log-odds into calibrated ones (Platt scaling).

        Args:
            scale: Factor of the log-odds, above 0.
            shift: Added to the scaled log-odds.
        """
        self.calibration_scale.fill_(scale)
        self.calibration_shift.fill_(shift)

    def freeze(self) -> Self:
        """Switch to evaluation for good and project the catalogue once."""
        super().freeze()
        with torch.no_grad():
            items: ItemProjection = self.items()
        for name, table in zip(ItemProjection._fields, items, strict=True):
            self.register_buffer(f"frozen_{name}", table.contiguous(), persistent=False)
        self._frozen = True
        return self

    def _finish(self, raw: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Add the user's own inclination and calibrate: (batch, any) and (batch, embed)."""
        inclination: torch.Tensor = self.state_bias(state)
        return (raw + inclination) * self.calibration_scale + self.calibration_shift

    def _check(
        self, user_categories: torch.Tensor, user_dense: torch.Tensor, history: torch.Tensor
    ) -> None:
        batch = history.shape[0]
        check_shape("history", history, batch, self.sizes.history_size)
        check_shape("user_categories", user_categories, batch, len(self.sizes.category_sizes))
        check_shape("user_dense", user_dense, batch, self.sizes.n_dense)

    def _item_tables(self) -> ItemProjection:
        """Return the projection of the whole catalogue."""
        if self._frozen:
            return ItemProjection(
                *(self.get_buffer(f"frozen_{name}") for name in ItemProjection._fields)
            )
        projection: ItemProjection = self.items()
        return projection

    def _project(
        self, history: torch.Tensor, slates: torch.Tensor
    ) -> tuple[ItemProjection, torch.Tensor, torch.Tensor]:
        """Return item tables and the rows of history and slates in them.

        While training, only the items of the batch are projected where that is the smaller set.
        """
        if self._frozen or self.n_items < history.numel() + slates.numel():
            return self._item_tables(), history, slates
        both = torch.cat([history.flatten(), slates.flatten()])
        items, rows = torch.unique(both, return_inverse=True)
        history_rows = rows[: history.numel()].view_as(history)
        slate_rows = rows[history.numel() :].view_as(slates)
        return self.items(items), history_rows, slate_rows

    def _encode_user(self, user_categories: torch.Tensor, user_dense: torch.Tensor) -> torch.Tensor:
        """Return (batch, embed) float32, the user vector before the history is known."""
        user = self.base_user.expand(user_categories.shape[0], -1)
        if self.sizes.category_sizes:
            present = (user_categories > 0).unsqueeze(-1)
            codes = user_categories + self.category_offsets
            user = user + (self.category_embedding(codes) * present).sum(dim=1)
        if self.sizes.n_dense:
            user = user + self.dense_projection(user_dense)
        normed: torch.Tensor = self.user_norm(user)
        return normed

    def _encode_state(
        self,
        user_categories: torch.Tensor,
        user_dense: torch.Tensor,
        history: torch.Tensor,
        memory: torch.Tensor,
        history_rows: torch.Tensor,
    ) -> torch.Tensor:
        """Return (batch, embed) float32, the user with the history attended to."""
        width, heads = self.sizes.embed_dim, self.sizes.n_heads
        batch, length = history.shape
        user = self._encode_user(user_categories, user_dense)
        query = self.query_projection(user).view(batch, heads, 1, width // heads)
        query = query / math.sqrt(width // heads)

        entries = nn.functional.embedding(history_rows, memory)
        entries = entries.view(batch, length, 2, heads, width // heads)
        keys, values = entries.unbind(dim=2)
        empty_key, empty_value = self.empty_memory.view(2, heads, width // heads)
        present = history != PAD_ID
        n_present = torch.log1p(present.sum(dim=1, keepdim=True).to(user.dtype))
        if self.training and self.history_dropout > 0.0:
            kept = torch.rand(history.shape, device=history.device) >= self.history_dropout
            present = present & kept
        scores = torch.matmul(query, keys.permute(0, 2, 3, 1)).squeeze(2) + self.recency_bias
        scores = scores.masked_fill(~present.unsqueeze(1), -torch.inf)
        # One slot that is always there keeps the softmax defined for an empty history.
        empty_score = torch.matmul(query, empty_key.unsqueeze(-1)).squeeze(-1)
        weights = torch.softmax(torch.cat([scores, empty_score], dim=-1), dim=-1)
        weights = self.dropout(weights)
        context = torch.matmul(weights[..., :length].unsqueeze(2), values.transpose(1, 2))
        context = context.squeeze(2) + weights[..., length:] * empty_value
        state = (
            user
            + self.context_projection(context.reshape(batch, width))
            + self.length_projection(n_present / math.log1p(length))
        )
        hidden = nn.functional.gelu(self.state_hidden(self.state_norm(state)))
        state = state + self.state_output(self.dropout(hidden))
        normed: torch.Tensor = self.output_norm(state)
        return normed
