"""Tables of what codes add to the scores of their items: of first codes, and of pairs with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

GATE_GAIN, EMBEDDING_GAIN = 30.0, 10.0
"""What first codes' gates and embeddings are multiplied by. Adam moves every weight by about the
same amount a step; contexts, which have a size of one, would else be learned slowest of all
(docs/hsrl.md#how-much-a-head-of-codes-can-say)."""


class ContextParts(NamedTuple):
    """What the scores of further codes under first ones are made of.

    Row w of the codes of levels 2 to L scores
    ``numbers[w] + scales[z, b] (offsets[z, w] + rows[w] . (projected[b] * gates[z]))``
    under first code z in state b.

    Attributes:
        projected: (batch, context) float32.
        gates: (first code, context) float32.
        rows: (further code, context) float32.
        offsets: (first code, further code) float32.
        scales: (first code, batch) float32.
        numbers: (further code,) float32.
    """

    projected: torch.Tensor
    gates: torch.Tensor
    rows: torch.Tensor
    offsets: torch.Tensor
    scales: torch.Tensor
    numbers: torch.Tensor


class CodeTables(nn.Module):
    """What the codes of items score in a state; no weight belongs to an item.

    The state scores first codes. Each of them makes a context of its own,
    ``c_z = LayerNorm(A c_0 * (1 + G[z]) - E[z])``, which scores the codes of all further levels.

    Args:
        embedding_size: Width d of states.
        vocab_sizes: Number of codes per level.
        context_size: Width of the contexts of first codes.
        temperature: Divides all learned scores; small values let distributions sharpen quickly.
        gated: Whether contexts are gated; otherwise ``c_z = LayerNorm(A c_0 - E[z])``.

    References:
        Paper, Eq. 11-14.
    """

    def __init__(
        self,
        embedding_size: int,
        vocab_sizes: tuple[int, ...],
        context_size: int,
        temperature: float,
        *,
        gated: bool,
    ) -> None:
        super().__init__()
        first_size = vocab_sizes[0]
        self.vocab_sizes = vocab_sizes
        self.temperature = temperature
        widths = [embedding_size, *[context_size] * (len(vocab_sizes) - 1)]
        self.heads = nn.ModuleList(
            nn.Linear(width, size) for width, size in zip(widths, vocab_sizes, strict=True)
        )
        self.expand: nn.Linear | None = None
        self.code_embedding: nn.Parameter | None = None
        self.gate: nn.Parameter | None = None
        self.norm: nn.LayerNorm | None = None
        if len(vocab_sizes) > 1:
            self.expand = nn.Linear(embedding_size, context_size)
            table = torch.empty(first_size, context_size)
            self.code_embedding = nn.Parameter(nn.init.normal_(table, std=1.0 / EMBEDDING_GAIN))
            self.norm = nn.LayerNorm(context_size)
            if gated:
                gate = torch.empty(first_size, context_size)
                self.gate = nn.Parameter(nn.init.normal_(gate, std=1.0 / GATE_GAIN))

    def first_scores(self, state: torch.Tensor) -> torch.Tensor:
        """Return (batch, vocab) float32, what first codes add to the scores of their items."""
        scores: torch.Tensor = self.heads[0](state) / self.temperature
        return scores

    def contexts(self, state: torch.Tensor) -> torch.Tensor:
        """Return what states mean under each first code, (vocab, batch, context) float32.

        What is done under each first code apart from the others finds its numbers side by side.

        Args:
            state: (batch, embed) float32. c_0.
        """
        if self.expand is None:
            return state.new_empty(int(self.heads[0].out_features), len(state), 0)  # type: ignore[arg-type]
        return self._contexts(self.expand(state), by_code=True)

    def further_scores(self, contexts: torch.Tensor) -> list[torch.Tensor]:
        """Return what further codes add to the scores of their items, level by level.

        Args:
            contexts: (..., context) float32. Those of first codes.

        Returns:
            Per level from 2 on (..., vocab) float32.
        """
        return [
            F.linear(contexts, head.weight / self.temperature, head.bias / self.temperature)  # type: ignore[operator,arg-type]
            for head in self.heads[1:]
        ]

    def scores_in_contexts(
        self, contexts: torch.Tensor, codes: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Return (...) float32, what given further codes add to the score of an item.

        Args:
            contexts: (..., context) float32. That of each item's first code.
            codes: Per level from 2 on (...) int64.
        """
        total = contexts.new_zeros(contexts.shape[:-1])
        for head, code in zip(self.heads[1:], codes, strict=True):
            products = contexts * F.embedding(code, head.weight)  # type: ignore[arg-type]
            total = total + products.sum(-1) + head.bias[code]  # type: ignore[index]
        return total / self.temperature

    def tables(self, state: torch.Tensor) -> torch.Tensor:
        """Return (batch, cell) float32, the scores of first codes and of pairs (first, further)."""
        first = self.heads[0](state)
        if self.expand is None:
            return F.pad(first, (1, 0))
        # cell 0 is zero and stands for codes that an item does not have
        return torch.cat(
            [first.new_zeros(len(first), 1), first, self._further(state).flatten(1)], dim=1
        )

    def context_parts(self, state: torch.Tensor) -> ContextParts:
        """Return what the scores of further codes are made of, without their contexts.

        With ``x_z = A c_0 * g_z - e_z``, a context's product with a row w of a head is that of the
        centred row ``w * gamma - mean(w * gamma)`` with ``x_z``, divided by the deviation of
        ``x_z``, plus ``w . beta``. So no context needs to be made, and its deviation follows from
        products of small matrices, which are summed in double precision: the mean of squares and
        the squared mean may lie close to each other.

        Args:
            state: (batch, embed) float32. c_0.
        """
        assert self.expand is not None and self.code_embedding is not None
        assert self.norm is not None
        projected = self.expand(state).float()
        embedding = EMBEDDING_GAIN * self.code_embedding
        gates = torch.ones_like(embedding) if self.gate is None else 1.0 + GATE_GAIN * self.gate
        weight = torch.cat([head.weight for head in self.heads[1:]])  # type: ignore[misc]
        bias = torch.cat([head.bias for head in self.heads[1:]])  # type: ignore[misc]
        stretched = weight * self.norm.weight
        rows = stretched - stretched.mean(1, keepdim=True)
        return ContextParts(
            projected,
            gates,
            rows,
            offsets=-(embedding @ rows.t()),
            scales=_inverse_deviations(projected, gates, embedding, self.norm.eps),
            numbers=torch.addmv(bias, weight, self.norm.bias),
        )

    def _further(self, state: torch.Tensor) -> torch.Tensor:
        """Return (batch, vocab, cell) float32, the scores of further codes under first ones."""
        assert self.expand is not None
        contexts = self._contexts(self.expand(state))
        weight = torch.cat([head.weight for head in self.heads[1:]])  # type: ignore[misc]
        bias = torch.cat([head.bias for head in self.heads[1:]])  # type: ignore[misc]
        return F.linear(contexts, weight, bias)

    def _contexts(self, projected: torch.Tensor, *, by_code: bool = False) -> torch.Tensor:
        """Return (batch, vocab, context) float32, what states mean under first codes.

        Args:
            projected: (batch, context) float32.
            by_code: Have the first code before the batch.
        """
        assert self.code_embedding is not None and self.norm is not None
        context = projected.unsqueeze(0 if by_code else 1)
        codes = 1 if by_code else 0
        if self.gate is not None:
            context = context * (1.0 + GATE_GAIN * self.gate.unsqueeze(codes))
        contexts: torch.Tensor = self.norm(
            context - EMBEDDING_GAIN * self.code_embedding.unsqueeze(codes)
        )
        return contexts


def _inverse_deviations(
    projected: torch.Tensor, gates: torch.Tensor, embedding: torch.Tensor, eps: float
) -> torch.Tensor:
    """Return (first code, batch) float32, one by the deviation of ``projected * gate - embedding``.

    Args:
        projected: (batch, context) float32.
        gates: (first code, context) float32.
        embedding: (first code, context) float32.
        eps: Added to the variance.
    """
    size = projected.shape[1]
    states, gates, embedding = projected.double().t(), gates.double(), embedding.double()
    means = (gates @ states - embedding.sum(1, keepdim=True)) / size
    squares = gates.square() @ states.square() - 2.0 * (gates * embedding) @ states
    squares = (squares + embedding.square().sum(1, keepdim=True)) / size
    return (squares - means.square() + eps).rsqrt().float()
