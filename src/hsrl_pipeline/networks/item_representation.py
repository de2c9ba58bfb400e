"""Vectors of items from what is known of them: content vector, learned vector, semantic ID."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from hsrl_pipeline.config.agents.shared import NewItemRule
from hsrl_pipeline.networks.catalogue_tables import CatalogueTables, WrittenRows
from hsrl_pipeline.networks.row_sums import sum_rows
from hsrl_pipeline.shapes import PAD_ID, check_shape


class ItemRepresentation(nn.Module):
    """Item representations: projected item vector, learned id vector, token vectors, summed.

    Row 0 (padding) is exactly zero whatever the parameters are.

    Args:
        n_items: Number of real items.
        embedding_size: Width d.
        item_vectors: (item, vector) float32 with row 0 zero, or None to leave them out.
        use_ids: Learn one vector per item.
        codes: (item, level) int64 semantic IDs, or None to leave them out; -1 adds nothing.
        vocab_sizes: Vocabulary size per level; needed with ``codes``.
        new_items: Learned vector of an item that arrives later: zero with ``mean``.
    """

    item_vectors: torch.Tensor | None
    token_rows: torch.Tensor | None

    def __init__(
        self,
        n_items: int,
        embedding_size: int,
        item_vectors: torch.Tensor | None,
        *,
        use_ids: bool = True,
        codes: torch.Tensor | None = None,
        vocab_sizes: tuple[int, ...] = (),
        new_items: NewItemRule = "mean",
    ) -> None:
        super().__init__()
        if item_vectors is None and not use_ids and codes is None:
            raise ValueError("items need vectors, ids or codes to be represented")
        self.n_items = n_items
        self.embedding_size = embedding_size
        self.new_items = new_items
        self._vocab_sizes = vocab_sizes
        self.projection: nn.Linear | None = None
        self.id_embedding: nn.Embedding | None = None
        self.token_embedding: nn.Embedding | None = None
        vectors = None
        if item_vectors is not None:
            check_shape("item_vectors", item_vectors, n_items + 1, None)
            vectors = item_vectors.clone()
            vectors[PAD_ID] = 0.0
            self.projection = nn.Linear(vectors.shape[1], embedding_size, bias=False)
        if use_ids:
            self.id_embedding = nn.Embedding(n_items + 1, embedding_size, padding_idx=PAD_ID)
            nn.init.normal_(self.id_embedding.weight, std=embedding_size**-0.5)
            with torch.no_grad():
                self.id_embedding.weight[PAD_ID] = 0.0
        rows = None
        if codes is not None:
            check_shape("codes", codes, n_items + 1, len(vocab_sizes))
            rows = _token_rows(codes, vocab_sizes)
            rows[PAD_ID] = 0
            self.token_embedding = nn.Embedding(1 + sum(vocab_sizes), embedding_size, padding_idx=0)
            nn.init.normal_(self.token_embedding.weight, std=embedding_size**-0.5)
            with torch.no_grad():
                self.token_embedding.weight[0] = 0.0
        self.register_buffer("item_vectors", vectors, persistent=False)
        self.register_buffer("token_rows", rows, persistent=False)
        self._catalogue: torch.Tensor | None = None
        self._catalogue_weights: list[torch.Tensor] = []

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        """Represent items by index.

        Args:
            items: (...) int64. Item indices in ``[0, n_items]``; PAD_ID gives zeros.

        Returns:
            (..., embed) float32.
        """
        parts = []
        if self.projection is not None and self.item_vectors is not None:
            parts.append(self.projection(F.embedding(items, self.item_vectors)))
        if self.id_embedding is not None:
            parts.append(self.id_embedding(items))
        if self.token_embedding is not None and self.token_rows is not None:
            parts.append(sum_rows(self.token_embedding.weight, self.token_rows[items]))
        total: torch.Tensor = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    @torch.no_grad()
    def set_catalogue(self, tables: CatalogueTables) -> list[WrittenRows]:
        """Take over vectors and codes of a version of the catalogue, and start its new items."""
        if self.item_vectors is not None:
            self.item_vectors = tables.item_vectors
        if self.token_rows is not None:
            rows = _token_rows(tables.new_codes, self._vocab_sizes)
            self.token_rows = self.token_rows.index_copy(0, tables.new, rows)
        self._catalogue, self._catalogue_weights = None, []
        if self.id_embedding is None or not len(tables.new):
            return []
        weight = self.id_embedding.weight
        ridge = self.new_items == "ridge"
        weight[tables.new] = tables.predict([weight], "ridge") if ridge else 0.0
        return [WrittenRows(weight, tables.new)]

    def catalogue(self) -> torch.Tensor:
        """Represent the whole catalogue, once per version of the parameters.

        With gradients enabled the table is computed anew, as part of the graph; without, it is
        kept until a parameter changes.

        Returns:
            (item, embed) float32. Row 0 is zero.
        """
        if torch.is_grad_enabled():
            return self._all_items()
        # compared by value: fused optimisers change weights without raising their version
        weights = [weight.detach() for weight in self.parameters()]
        unchanged = self._catalogue is not None and all(
            kept.device == weight.device and torch.equal(kept, weight)
            for kept, weight in zip(self._catalogue_weights, weights, strict=True)
        )
        catalogue = self._catalogue
        if catalogue is None or not unchanged:
            catalogue = self._all_items()
            # the table last: rollouts on other threads may be looking at both
            self._catalogue_weights = [weight.clone() for weight in weights]
            self._catalogue = catalogue
        return catalogue

    def _all_items(self) -> torch.Tensor:
        reference = next(self.parameters())
        total = reference.new_zeros(self.n_items + 1, self.embedding_size)
        if self.projection is not None and self.item_vectors is not None:
            total = total + self.projection(self.item_vectors)
        if self.id_embedding is not None:
            total = total + self.id_embedding.weight
        if self.token_embedding is not None and self.token_rows is not None:
            total = total + sum_rows(self.token_embedding.weight, self.token_rows)
        return total


def _token_rows(codes: torch.Tensor, vocab_sizes: tuple[int, ...]) -> torch.Tensor:
    """Return (item, level) int64 rows in one table for all levels; row 0 stands for no code."""
    first_row = [1 + sum(vocab_sizes[:level]) for level in range(len(vocab_sizes))]
    return (codes + torch.tensor(first_row, device=codes.device)).masked_fill(codes < 0, 0)
