"""State encoder shared by all agents: self-attention over the history, user features, step."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from hsrl_pipeline.networks.attention import attend_once
from hsrl_pipeline.networks.item_representation import ItemRepresentation
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.shapes import PAD_ID, check_shape

__all__ = ["AttentionBlock", "ItemRepresentation", "StateEncoder"]


class AttentionBlock(nn.Module):
    """Pre-norm self-attention layer that can answer for the last position alone.

    Args:
        embedding_size: Width d.
        n_heads: Attention heads; divides ``embedding_size``.
        feedforward_size: Hidden width of the position-wise MLP.
        dropout: Rate on both residual branches.
    """

    def __init__(
        self, embedding_size: int, n_heads: int, feedforward_size: int, dropout: float
    ) -> None:
        super().__init__()
        self._n_heads = n_heads
        self.attention_norm = nn.LayerNorm(embedding_size)
        self.query = nn.Linear(embedding_size, embedding_size)
        self.key_value = nn.Linear(embedding_size, 2 * embedding_size)
        self.output = nn.Linear(embedding_size, embedding_size)
        self.feedforward_norm = nn.LayerNorm(embedding_size)
        self.expand = nn.Linear(embedding_size, feedforward_size)
        self.contract = nn.Linear(feedforward_size, embedding_size)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, hidden: torch.Tensor, attention_bias: torch.Tensor, *, last_only: bool
    ) -> torch.Tensor:
        """Return the layer's output.

        Args:
            hidden: (batch, history, embed) float32.
            attention_bias: (batch, 1, history, history) float32. 0 where a position may look,
                ``-inf`` where it may not.
            last_only: Compute the last position only: (batch, 1, embed) comes back.

        Returns:
            (batch, history, embed) float32, or (batch, 1, embed) with ``last_only``.
        """
        normed = self.attention_norm(hidden)
        if last_only:
            key, value = self.key_value.weight.chunk(2)
            attended = attend_once(
                self.query(normed[:, -1]),
                normed,
                key_weight=key,
                value_weight=value,
                value_bias=self.key_value.bias.chunk(2)[1],
                bias=attention_bias[:, 0, -1],
                n_heads=self._n_heads,
            ).unsqueeze(1)
        else:
            key, value = self.key_value(normed).chunk(2, dim=-1)
            attended = self._attend(self.query(normed), key, value, attention_bias)
        residual = hidden[:, -1:] if last_only else hidden
        mixed = residual + self.dropout(self.output(attended))
        inner = F.relu(self.expand(self.feedforward_norm(mixed)))
        result: torch.Tensor = mixed + self.dropout(self.contract(inner))
        return result

    def _attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        """Return what every position gathers, (batch, history, embed) float32."""
        attended = F.scaled_dot_product_attention(
            self._split(query), self._split(key), self._split(value), attn_mask=bias
        )
        return attended.transpose(1, 2).flatten(2)

    def _split(self, states: torch.Tensor) -> torch.Tensor:
        """(batch, position, embed) to (batch, head, position, head width)."""
        batch, length, size = states.shape
        return states.view(batch, length, self._n_heads, size // self._n_heads).transpose(1, 2)


class StateEncoder(nn.Module):
    """Encode what a policy sees into one state vector (Eq. 10).

    A causal self-attention stack (SASRec, Kang and McAuley 2018) reads the history; the state is
    its output at the newest position, fused with the user's features and the steps taken. Only
    that position is computed in the last layer, and padded positions are never looked at. Where
    the history holds shown items, one that was not clicked enters with a learned gate and vector.

    Args:
        items: Item representation, also used by agents that score items.
        history_size: Length H of the history window.
        n_layers: Attention layers.
        n_heads: Heads per layer.
        feedforward_size: Hidden width of a layer's MLP.
        dropout: Rate while ``training``; agents act in eval mode, where it is off.
        category_sizes: Cardinality of each categorical user feature; empty leaves them out.
        n_dense: Numeric user features; 0 leaves them out.
        max_step: Largest number of taken steps told apart, or None to ignore the step.
        reads_responses: Whether the history holds shown items with their responses.
    """

    attention_bias: torch.Tensor
    own_position: torch.Tensor
    category_offsets: torch.Tensor

    def __init__(
        self,
        items: ItemRepresentation,
        history_size: int,
        *,
        n_layers: int = 2,
        n_heads: int = 4,
        feedforward_size: int = 64,
        dropout: float = 0.0,
        category_sizes: tuple[int, ...] = (),
        n_dense: int = 0,
        max_step: int | None = None,
        reads_responses: bool = False,
    ) -> None:
        super().__init__()
        size = items.embedding_size
        self.items = items
        self.embedding_size = size
        self.history_size = history_size
        self.positions = nn.Parameter(torch.empty(history_size, size))
        nn.init.normal_(self.positions, std=size**-0.5)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            AttentionBlock(size, n_heads, feedforward_size, dropout) for _ in range(n_layers)
        )
        self.history_norm = nn.LayerNorm(size)
        self.category_embedding: nn.Embedding | None = None
        self.dense_projection: nn.Linear | None = None
        self.step_embedding: nn.Embedding | None = None
        n_parts = 1
        if category_sizes:
            self.category_embedding = nn.Embedding(sum(category_sizes), size)
            nn.init.normal_(self.category_embedding.weight, std=size**-0.5)
        if n_dense:
            self.dense_projection = nn.Linear(n_dense, size)
        if category_sizes or n_dense:
            n_parts += 1
        if max_step is not None:
            self.step_embedding = nn.Embedding(max_step + 1, size)
            nn.init.normal_(self.step_embedding.weight, std=size**-0.5)
            n_parts += 1
        self.fuse_expand = nn.Linear(n_parts * size, 2 * size)
        self.fuse_contract = nn.Linear(2 * size, size)
        self.state_norm = nn.LayerNorm(size)
        self.skip_gate: nn.Parameter | None = None
        self.skip_vector: nn.Parameter | None = None
        if reads_responses:
            self.skip_gate = nn.Parameter(torch.full((size,), -1.0))
            self.skip_vector = nn.Parameter(torch.empty(size).normal_(std=size**-0.5))
        offsets = [sum(category_sizes[:field]) for field in range(len(category_sizes))]
        future = torch.full((history_size, history_size), -math.inf).triu(1)
        self.register_buffer("category_offsets", torch.tensor(offsets).long(), persistent=False)
        self.register_buffer("attention_bias", future, persistent=False)
        # a padded position sees itself, so that no row of the softmax is empty
        own = torch.eye(history_size, dtype=torch.bool)
        self.register_buffer("own_position", own, persistent=False)

    def forward(self, observation: Observation) -> torch.Tensor:
        """Encode a batch of sessions.

        Args:
            observation: The sessions; ``history`` is (batch, history).

        Returns:
            (batch, embed) float32 state, normalised per row.

        Raises:
            ValueError: The history is not ``history_size`` wide, or comes with responses where none
                are read, or without where they are.
        """
        check_shape("history", observation.history, None, self.history_size)
        n_responses = 0 if self.skip_gate is None else self.history_size
        check_shape("responses", observation.responses, None, n_responses)
        parts = [self._encode_history(observation)]
        user = self._encode_user(observation)
        if user is not None:
            parts.append(user)
        if self.step_embedding is not None:
            last = self.step_embedding.num_embeddings - 1
            parts.append(self.step_embedding(observation.step.clamp(0, last)))
        joined = torch.cat(parts, dim=-1)
        fused = self.fuse_contract(F.relu(self.fuse_expand(joined)))
        state: torch.Tensor = self.state_norm(parts[0] + fused)
        return state

    def _encode_history(self, observation: Observation) -> torch.Tensor:
        padded = observation.history == PAD_ID
        entries = self.items(observation.history)
        if self.skip_gate is not None and self.skip_vector is not None:
            # A skip starts as the opposite of a click: sums over the history then tell taste at
            # once, and the vector lets attention tell skips from clicks.
            skipped = (observation.responses == 0).unsqueeze(-1)
            entries = torch.where(skipped, entries * self.skip_gate + self.skip_vector, entries)
        hidden = self.dropout(entries + self.positions)
        blocked = padded[:, None, None, :] & ~self.own_position
        bias = self.attention_bias.masked_fill(blocked, -math.inf)
        last_block = len(self.blocks) - 1
        for index, block in enumerate(self.blocks):
            hidden = block(hidden, bias, last_only=index == last_block)
        newest: torch.Tensor = self.history_norm(hidden[:, -1])
        # an empty history has nothing to summarise: the state rests on user and step alone
        return newest.masked_fill(padded[:, -1:], 0.0)

    def _encode_user(self, observation: Observation) -> torch.Tensor | None:
        user = None
        if self.category_embedding is not None:
            rows = observation.user_categories + self.category_offsets
            user = self.category_embedding(rows).sum(1)
        if self.dense_projection is not None:
            dense = self.dense_projection(observation.user_dense)
            user = dense if user is None else user + dense
        return user
