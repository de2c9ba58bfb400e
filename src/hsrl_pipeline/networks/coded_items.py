"""What look-up scores need to know of items: cells they look up, vectors, priors, own numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from hsrl_pipeline.networks.catalogue_tables import CatalogueTables
from hsrl_pipeline.networks.code_cells import centred_priors, look_up_cells
from hsrl_pipeline.networks.item_effects import ItemEffects
from hsrl_pipeline.semantic_ids.valid_codes import check_codes
from hsrl_pipeline.shapes import check_shape


class CodedItems(ItemEffects):
    """Tables with a row per item, as one version of the catalogue has them, for ``CodeScores``."""

    vocab_sizes: tuple[int, ...]
    temperature: float
    codes: torch.Tensor
    look_ups: torch.Tensor
    has_code: torch.Tensor
    item_vectors: torch.Tensor | None
    item_priors: torch.Tensor | None

    def keep_items(
        self,
        codes: NDArray[np.int64],
        item_vectors: torch.Tensor | None,
        item_priors: NDArray[np.float32] | None,
    ) -> None:
        """Make the tables.

        Args:
            codes: (item, level) int64. Semantic IDs, row 0 all -1; an item whose codes are all -1
                is never scored.
            item_vectors: (item, vector) float32 or None.
            item_priors: (item,) float32 or None. Each code's are centred.

        Raises:
            ValueError: A code lies outside its level's vocabulary; names the item.
        """
        live = check_codes(codes, self.vocab_sizes)
        self.n_items = len(codes) - 1
        if item_vectors is not None:
            check_shape("item_vectors", item_vectors, len(codes), None)
        priors = None if item_priors is None else centred_priors(item_priors, codes, live)
        has_code = np.zeros(len(codes), bool)
        has_code[live] = True
        self._columns = torch.empty(0)
        self._columns_of: torch.Tensor | None = None
        self.register_buffer("codes", torch.from_numpy(codes).clamp(min=0), persistent=False)
        self.register_buffer("look_ups", look_up_cells(codes, self.vocab_sizes), persistent=False)
        self.register_buffer("has_code", torch.from_numpy(has_code), persistent=False)
        self.register_buffer("item_vectors", item_vectors, persistent=False)
        self.register_buffer("item_priors", priors, persistent=False)

    def take_items(self, tables: CatalogueTables, *, own_codes: bool) -> None:
        """Have the tables of a version of the catalogue from now on.

        Args:
            tables: Those of the version.
            own_codes: Whether every item has a code of its own, instead of its semantic ID.
        """
        codes = (tables.new - 1).unsqueeze(1) if own_codes else tables.new_codes
        cells = look_up_cells(codes.cpu().numpy(), self.vocab_sizes).to(self.look_ups.device)
        self.look_ups = self.look_ups.index_copy(0, tables.new, cells)
        self.codes = self.codes.index_copy(0, tables.new, codes)
        self.has_code = tables.live
        if self.item_vectors is not None:
            self.item_vectors = tables.item_vectors

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

    def look_up_columns(self) -> torch.Tensor:
        """Return (level, item) int32, ``look_ups`` with the cells of a level side by side."""
        if self._columns_of is not self.look_ups:
            self._columns = self.look_ups.t().contiguous().int()
            self._columns_of = self.look_ups
        return self._columns

    def own_numbers(self) -> torch.Tensor:
        """Return (item,) float32, what items add to their scores by themselves."""
        effects = self.effects()
        numbers = self.look_ups.new_zeros(len(self.look_ups), dtype=torch.float32)
        if effects is not None:
            numbers = effects / self.temperature
        return numbers if self.item_priors is None else numbers + self.item_priors

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

    def with_own(
        self, scores: torch.Tensor, query: torch.Tensor | None, items: torch.Tensor
    ) -> torch.Tensor:
        """Return scores of items from those of their codes.

        Args:
            scores: (batch, any) float32. Those of their codes.
            query: (batch, vector) float32 or None. What their vectors are multiplied by.
            items: (batch, any) int64.

        Returns:
            (batch, any) float32.
        """
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
