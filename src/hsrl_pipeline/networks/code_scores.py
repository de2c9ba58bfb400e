"""Scores of items as sums of look-ups by their codes, as in product quantisation.

An item's score depends on the state and on what the item is, never on which other items there
are: one normaliser over the items that may be shown makes a distribution of the scores.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from hsrl_pipeline.config.agents.shared import NewItemRule
from hsrl_pipeline.networks.catalogue_tables import CatalogueTables, WrittenRows, start_rows
from hsrl_pipeline.networks.code_tables import CodeTables
from hsrl_pipeline.networks.coded_items import CodedItems
from hsrl_pipeline.networks.look_up_sums import ContextRows, sum_look_ups

INITIAL_SCORE_SHARE = 0.1
"""Initial weights of what scores, as a share of a linear layer's usual ones."""


class CodeScores(CodeTables, CodedItems):
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
        self.keep_items(codes, item_vectors, item_priors)
        self.vector_query: nn.Linear | None = None
        if item_vectors is not None:
            self.vector_query = nn.Linear(embedding_size, item_vectors.shape[1])
        self._start_nearly_even()
        self.keep_effects(
            len(codes),
            deviations=item_deviations,
            arrival_prior=arrival_prior,
            arrival_bonus=arrival_bonus,
        )

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
        self.take_items(tables, own_codes=rows_of_items is not None)
        written: list[WrittenRows] = []
        if rows_of_items is not None:
            (head,) = self.heads
            written += start_rows(head, tables, rows_of_items, self.effects())  # type: ignore[arg-type]
        return written + self.start_effects(tables.new)

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        """Score the whole catalogue.

        Args:
            state: (batch, embed) float32. c_0.

        Returns:
            (batch, item) float32; ``-inf`` for padding and items without a semantic ID.
        """
        if not torch.is_grad_enabled():
            return self._in_place(state)
        numbers, contexts = self.own_numbers(), None
        # a first row of zeros for items whose code says nothing of them
        first = F.pad(self.heads[0](state), (1, 0))
        if self.expand is None:
            first_codes = self.look_ups[:, 0].contiguous()
        else:
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

    def _in_place(self, state: torch.Tensor) -> torch.Tensor:
        """Score the whole catalogue without gradients, equal up to rounding.

        Items are looked up level by level and all is added in place: for a few states, as when
        acting, nothing is quicker.
        """
        tables = self.tables(state)
        first, *others = self.look_up_columns()
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
        return self.with_own(scores, self.query(state), items)

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
        return self.with_own(scores, query, items)

    @torch.no_grad()
    def _start_nearly_even(self) -> None:
        """Shrink what scores, so that no item wins at first only because of its random weights."""
        for layer in (*self.heads, self.vector_query):
            if layer is not None:
                for weight in layer.parameters():
                    weight.mul_(INITIAL_SCORE_SHARE)
