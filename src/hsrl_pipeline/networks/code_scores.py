"""Scores of items as sums of look-ups by their codes, as in product quantisation.

An item's score depends on the state and on what the item is, never on which other items there
are: one normaliser over the items that may be shown makes a distribution of the scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from hsrl_pipeline.config.agents.shared import NewItemRule
from hsrl_pipeline.networks.catalogue_tables import CatalogueTables, WrittenRows, start_rows
from hsrl_pipeline.networks.code_cells import centred_priors, look_up_cells
from hsrl_pipeline.networks.item_effects import ItemEffects
from hsrl_pipeline.semantic_ids.valid_codes import check_codes
from hsrl_pipeline.shapes import check_shape

INITIAL_SCORE_SHARE = 0.1
"""Initial weights of what scores, as a share of a linear layer's usual ones."""

GATE_GAIN, EMBEDDING_GAIN = 30.0, 10.0
"""What first codes' gates and embeddings are multiplied by. Adam moves every weight by about the
same amount a step; contexts, which have a size of one, would else be learned slowest of all
(docs/hsrl.md#how-much-a-head-of-codes-can-say)."""


class CodeScores(ItemEffects):
    """Item scores from a gated context per first code.

    The state scores the first code. Every first code makes a context of its own,
    ``c_z = LayerNorm(A c_0 * (1 + G[z]) - E[z])``, which scores the codes of all further levels.
    The gate lets a prefix say what the state means below it, which the subtraction of Eq. 13
    alone cannot; both are multiples of their weights (``GATE_GAIN``). An item's score is the sum
    of what its codes look up in these tables, plus the product of its vector with a query, plus
    its own deviation, plus what shows and clicks say of an item that arrived later:

        score(i | s) = (a_1[z_1] + sum_{l > 1} a_l[z_1, z_l] + q(s) . v_i + d_i + e_i) / T + prior_i

    All parameters but deviations and statistics ignore the size of the catalogue.

    Args:
        embedding_size: Width d of states.
        codes: (item, level) int64. Semantic IDs, row 0 all -1; an item whose codes are all -1 is
            never scored.
        vocab_sizes: Number of codes per level.
        context_size: Width of the contexts of first codes.
        temperature: Divides all learned scores; small values let distributions sharpen quickly.
        gated: Whether contexts are gated; otherwise ``c_z = LayerNorm(A c_0 - E[z])``.
        item_vectors: (item, vector) float32 or None to leave their product out.
        item_priors: (item,) float32 or None. Log-odds of being shown among the items of one code;
            each code's are centred, so that they say nothing of an item alone under its code.
        item_deviations: Whether every item has a learned number of its own, 0 at first.
        arrival_prior: Strength of the prior of ``ArrivalStatistics``; None for none of them.

    Raises:
        ValueError: A code lies outside its level's vocabulary; names the item.

    References:
        Paper, Eq. 11-14; Jégou et al. 2011, "Product Quantization for Nearest Neighbor Search".
    """

    codes: torch.Tensor
    look_ups: torch.Tensor
    has_code: torch.Tensor
    item_vectors: torch.Tensor | None
    item_priors: torch.Tensor | None

    def __init__(
        self,
        embedding_size: int,
        codes: NDArray[np.int64],
        vocab_sizes: tuple[int, ...],
        *,
        context_size: int = 64,
        temperature: float = 1.0,
        gated: bool = True,
        item_vectors: torch.Tensor | None = None,
        item_priors: NDArray[np.float32] | None = None,
        item_deviations: bool = False,
        arrival_prior: float | None = None,
    ) -> None:
        super().__init__()
        live = check_codes(codes, vocab_sizes)
        n_rows, first_size = len(codes), vocab_sizes[0]
        self.n_items = n_rows - 1
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
        self.vector_query: nn.Linear | None = None
        if item_vectors is not None:
            check_shape("item_vectors", item_vectors, n_rows, None)
            self.vector_query = nn.Linear(embedding_size, item_vectors.shape[1])
        self._start_nearly_even()
        self.keep_effects(n_rows, deviations=item_deviations, arrival_prior=arrival_prior)
        priors = None if item_priors is None else centred_priors(item_priors, codes, live)
        has_code = np.zeros(n_rows, bool)
        has_code[live] = True
        self._columns = torch.empty(0)
        self._columns_of: torch.Tensor | None = None
        self.register_buffer("codes", torch.from_numpy(codes).clamp(min=0), persistent=False)
        self.register_buffer("look_ups", look_up_cells(codes, vocab_sizes), persistent=False)
        self.register_buffer("has_code", torch.from_numpy(has_code), persistent=False)
        self.register_buffer("item_vectors", item_vectors, persistent=False)
        self.register_buffer("item_priors", priors, persistent=False)

    @torch.no_grad()
    def set_items(
        self, tables: CatalogueTables, rows_of_items: NewItemRule | None = None
    ) -> list[WrittenRows]:
        """Score the live items of a version of the catalogue from now on.

        A new item starts with the scores of its codes and its vector, and without deviation.

        Args:
            tables: Those of the version.
            rows_of_items: Where every item has a code of its own, how the weights of this code
                start for new items; None where codes are shared.
        """
        own = rows_of_items is not None
        codes = (tables.new - 1).unsqueeze(1) if own else tables.new_codes
        cells = look_up_cells(codes.cpu().numpy(), self.vocab_sizes).to(self.look_ups.device)
        self.look_ups = self.look_ups.index_copy(0, tables.new, cells)
        self.codes = self.codes.index_copy(0, tables.new, codes)
        self.has_code = tables.live
        if self.item_vectors is not None:
            self.item_vectors = tables.item_vectors
        written: list[WrittenRows] = []
        if rows_of_items is not None:
            (head,) = self.heads
            written += start_rows(head, tables, rows_of_items, self.effects())  # type: ignore[arg-type]
        return written + self.start_effects(tables.new)

    @contextmanager
    def leaving_out(
        self, absent: torch.Tensor, unseen: torch.Tensor, *, own_codes: bool = False
    ) -> Iterator[None]:
        """Score the catalogue without some items, and others as if nobody had seen them yet.

        Args:
            absent: (item,) bool. Items that are not there.
            unseen: (item,) bool. Items that are scored by what is known of them before anyone has
                seen them: by their codes and vectors, without deviation and statistics.
            own_codes: Whether every item has a code of its own, which says nothing of an unseen
                one: its vector alone does.
        """
        has_code, look_ups = self.has_code, self.look_ups
        self.has_code = has_code & ~absent
        self.unseen = unseen
        if own_codes:
            self.look_ups = look_ups.masked_fill(unseen.unsqueeze(1), 0)
        try:
            yield
        finally:
            self.has_code, self.look_ups, self.unseen = has_code, look_ups, None

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        """Score the whole catalogue.

        Args:
            state: (batch, embed) float32. c_0.

        Returns:
            (batch, item) float32; ``-inf`` for padding and items without a semantic ID.
        """
        if not torch.is_grad_enabled():
            return self._in_place(state)
        tables = self.tables(state)
        # one row per item and one column per state: a look-up reads consecutive numbers
        scores = F.embedding_bag(self.look_ups, tables.t().contiguous(), mode="sum").t()
        if self.vector_query is not None and self.item_vectors is not None:
            scores = scores + self.vector_query(state) @ self.item_vectors.t()
        effects = self.effects()
        if effects is not None:
            scores = scores + effects
        scores = scores / self.temperature
        if self.item_priors is not None:
            scores = scores + self.item_priors
        return scores.masked_fill(~self.has_code, -torch.inf)

    def _in_place(self, state: torch.Tensor) -> torch.Tensor:
        """Score the whole catalogue without gradients: the same bits, in half to all of the time.

        Items are looked up level by level and all is added in place.
        """
        tables = self.tables(state)
        if self._columns_of is not self.look_ups:
            self._columns = self.look_ups.t().contiguous().int()
            self._columns_of = self.look_ups
        first, *others = self._columns
        scores = tables.index_select(1, first)
        for column in others:
            scores.add_(tables.index_select(1, column))
        if self.vector_query is not None and self.item_vectors is not None:
            scores.addmm_(self.vector_query(state), self.item_vectors.t())
        effects = self.effects()
        if effects is not None:
            scores.add_(effects)
        scores.div_(self.temperature)
        if self.item_priors is not None:
            scores.add_(self.item_priors)
        return scores.masked_fill_(~self.has_code, -torch.inf)

    def of_items(self, state: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Score given items; the cost ignores the size of the catalogue.

        Args:
            state: (batch, embed) float32. c_0.
            items: (batch, slate) int64. Items in ``[0, n_items]``.

        Returns:
            (batch, slate) float32; what an item without a semantic ID gets has no meaning.
        """
        return self.from_tables(self.tables(state), self.query(state), items)

    def query(self, state: torch.Tensor) -> torch.Tensor | None:
        """Return (batch, vector) float32, what item vectors are multiplied by; None without them.

        Args:
            state: (batch, embed) float32. c_0.
        """
        return None if self.vector_query is None else self.vector_query(state)

    def from_tables(
        self, tables: torch.Tensor, query: torch.Tensor | None, items: torch.Tensor
    ) -> torch.Tensor:
        """Score given items of states whose ``tables`` and ``query`` are known.

        Args:
            tables: (batch, cell) float32.
            query: (batch, vector) float32 or None.
            items: (batch, any) int64.

        Returns:
            (batch, any) float32.
        """
        rows = self.look_ups[items].flatten(1)
        scores = tables.gather(1, rows).view(*items.shape, len(self.vocab_sizes)).sum(-1)
        if query is not None and self.item_vectors is not None:
            vectors = F.embedding(items, self.item_vectors)
            scores = scores + (vectors @ query.unsqueeze(-1)).squeeze(-1)
        effects = self.effects()
        if effects is not None:
            scores = scores + effects[items]
        scores = scores / self.temperature
        if self.item_priors is not None:
            scores = scores + self.item_priors[items]
        return scores

    def own_scores(self, items: torch.Tensor) -> torch.Tensor | None:
        """Return (any,) float32, what items add to their scores by themselves; None for nothing.

        Args:
            items: (any,) int64.
        """
        parts = []
        effects = self.effects()
        if effects is not None:
            parts.append(effects.detach()[items] / self.temperature)
        if self.item_priors is not None:
            parts.append(self.item_priors[items])
        return sum(parts[1:], parts[0]) if parts else None

    @torch.no_grad()
    def _start_nearly_even(self) -> None:
        """Shrink what scores, so that no item wins at first only because of its random weights."""
        for layer in (*self.heads, self.vector_query):
            if layer is not None:
                for weight in layer.parameters():
                    weight.mul_(INITIAL_SCORE_SHARE)

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
