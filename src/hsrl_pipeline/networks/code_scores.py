"""Scores of items as sums of look-ups by their codes, as in product quantisation.

An item's score depends on the state and on what the item is, never on which other items there
are: one normaliser over the items that may be shown makes a distribution of the scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from hsrl_pipeline.config.agents.shared import NewItemRule
from hsrl_pipeline.networks.catalogue_tables import CatalogueTables, WrittenRows, start_rows
from hsrl_pipeline.networks.code_cells import centred_priors, look_up_cells
from hsrl_pipeline.networks.code_tables import CodeTables
from hsrl_pipeline.networks.item_effects import ItemEffects
from hsrl_pipeline.networks.look_up_sums import ContextRows, sum_look_ups
from hsrl_pipeline.semantic_ids.valid_codes import check_codes
from hsrl_pipeline.shapes import check_shape

INITIAL_SCORE_SHARE = 0.1
"""Initial weights of what scores, as a share of a linear layer's usual ones."""


class CodeScores(CodeTables, ItemEffects):
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
        arrival_bonus: Their bonus. It is no part of the scores: ``optimism`` returns it.

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
        arrival_bonus: float = 0.0,
    ) -> None:
        super().__init__(embedding_size, vocab_sizes, context_size, temperature, gated=gated)
        live = check_codes(codes, vocab_sizes)
        n_rows = len(codes)
        self.n_items = n_rows - 1
        self.vector_query: nn.Linear | None = None
        if item_vectors is not None:
            check_shape("item_vectors", item_vectors, n_rows, None)
            self.vector_query = nn.Linear(embedding_size, item_vectors.shape[1])
        self._start_nearly_even()
        self.keep_effects(
            n_rows,
            deviations=item_deviations,
            arrival_prior=arrival_prior,
            arrival_bonus=arrival_bonus,
        )
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
        numbers, contexts = self._numbers(), None
        # a first row of zeros for items whose code says nothing of them
        first, first_codes = F.pad(self.heads[0](state), (1, 0)), self.look_ups[:, 0].contiguous()
        if self.expand is not None:
            first, first_codes = first[:, 1:], self.codes[:, 0].contiguous()
            parts = self.context_parts(state)
            pairs = self._pairs(self.look_ups)
            rows = pairs % len(parts.rows)
            contexts = ContextRows(
                parts.projected,
                parts.gates,
                parts.rows,
                parts.offsets.flatten()[pairs].sum(1),
                parts.scales / self.temperature,
                rows,
            )
            numbers = numbers + parts.numbers[rows].sum(1) / self.temperature
        query = self.query(state)
        return sum_look_ups(
            first_codes,
            (first.t() / self.temperature).contiguous(),
            numbers,
            self.has_code,
            contexts=contexts,
            query=None if query is None else query / self.temperature,
            item_vectors=self.item_vectors,
        )

    def _pairs(self, look_ups: torch.Tensor) -> torch.Tensor:
        """Return (..., level) int64 for levels from 2 on, cells counted from the first pair."""
        return (look_ups[..., 1:] - 1 - self.vocab_sizes[0]).clamp(min=0)

    def _numbers(self) -> torch.Tensor:
        """Return (item,) float32, what items add to their scores by themselves."""
        effects = self.effects()
        numbers = self.look_ups.new_zeros(len(self.look_ups), dtype=torch.float32)
        if effects is not None:
            numbers = effects / self.temperature
        return numbers if self.item_priors is None else numbers + self.item_priors

    def _in_place(self, state: torch.Tensor) -> torch.Tensor:
        """Score the whole catalogue without gradients, equal up to rounding.

        Items are looked up level by level and all is added in place: for a few states, as when
        acting, nothing is quicker.
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
        cells = self.look_ups[items]
        scores = F.pad(self.heads[0](state), (1, 0)).gather(1, cells[..., 0])
        if self.expand is not None:
            parts, first = self.context_parts(state), self.codes[items][..., 0]
            pairs = self._pairs(cells)
            codes = pairs % len(parts.rows)
            rows = F.embedding(codes, parts.rows).sum(-2) * F.embedding(first, parts.gates)
            products = (rows @ parts.projected.unsqueeze(-1)).squeeze(-1)
            products = products + parts.offsets.flatten()[pairs].sum(-1)
            scores = scores + parts.scales.t().gather(1, first) * products
            scores = scores + parts.numbers[codes].sum(-1)
        return self._with_own(scores, self.query(state), items)

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
        return self._with_own(scores, query, items)

    def _with_own(
        self, scores: torch.Tensor, query: torch.Tensor | None, items: torch.Tensor
    ) -> torch.Tensor:
        """Return (batch, any) scores of items from those of their codes, of the same shape."""
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

    def optimism(self) -> torch.Tensor | None:
        """Return (item,) float32, what a policy adds to scores of items it knows little of.

        Scores say how likely a click is; this says what it is worth to find out. None for nothing.
        """
        bonus = None if self.statistics is None else self.statistics.optimism()
        return None if bonus is None else bonus / self.temperature

    @torch.no_grad()
    def _start_nearly_even(self) -> None:
        """Shrink what scores, so that no item wins at first only because of its random weights."""
        for layer in (*self.heads, self.vector_query):
            if layer is not None:
                for weight in layer.parameters():
                    weight.mul_(INITIAL_SCORE_SHARE)
