"""Dot products of queries with chosen rows of a table that is not trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import embedding

PIECE_SIZE = 2**16
"""Numbers gathered at a time, about what the cache of a core holds."""

FEW_SLOTS = 8
"""Slots that most queries make do with. As many as a vector register holds numbers, or half of
them: a product of fewer columns would be rounded in another order."""


def row_scores(
    query: torch.Tensor,
    table: torch.Tensor,
    rows: torch.Tensor,
    n_used: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the dot product of each query with its own rows.

    The gathered rows are many times larger than the scores. They are gathered in pieces, and again
    for the gradient, so that memory hardly grows with the number of rows per query.

    Args:
        query: (..., embed) float32, or an axis of 1 where queries are the same.
        table: (row, embed) float32. Gets no gradient.
        rows: (..., slot) int64. Rows of the table for each query.
        n_used: (...) int64 or None. How many leading slots of each query anybody reads; None for
            all of them.

    Returns:
        (..., slot) float32. Any finite number where a slot is not read.
    """
    used = None if n_used is None else n_used.expand(rows.shape[:-1]).flatten()
    scores: torch.Tensor = _RowScores.apply(  # type: ignore[no-untyped-call]
        query.expand(*rows.shape[:-1], -1).flatten(0, -2), table, rows.flatten(0, -2), used
    )
    return scores.view(rows.shape)


class _RowScores(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        table: torch.Tensor,
        rows: torch.Tensor,
        n_used: torch.Tensor | None,
    ) -> torch.Tensor:
        ctx.save_for_backward(table, rows)
        ctx.query_dtype = query.dtype
        # on CUDA, counting the long ones would cost more than the empty slots do
        if n_used is None or rows.shape[1] <= FEW_SLOTS or rows.is_cuda:
            return _products(query, table, rows)
        few = _products(query, table, rows[:, :FEW_SLOTS])
        scores = few.new_zeros(rows.shape)
        scores[:, :FEW_SLOTS] = few
        long = (n_used > FEW_SLOTS).nonzero()[:, 0]
        if len(long):
            scores[long] = _products(query[long], table, rows[long])
        return scores

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        table, rows = ctx.saved_tensors
        pairs = _pieces(gradients[0].unsqueeze(-1).to(table.dtype), rows, table.shape[1])
        of_query = torch.cat([embedding(part, table).mT @ column for column, part in pairs])
        return of_query[..., 0].to(ctx.query_dtype), None, None, None


def _products(query: torch.Tensor, table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return (query, slot) float32, gathered piece by piece."""
    pairs = _pieces(query.unsqueeze(-1), rows, table.shape[1])
    return torch.cat([embedding(part, table) @ column for column, part in pairs])[..., 0]


def _pieces(
    columns: torch.Tensor, rows: torch.Tensor, width: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Cut both along their first axis so that a piece gathers no more than ``PIECE_SIZE``."""
    length = max(PIECE_SIZE // (rows.shape[1] * width), 1)
    return zip(torch.split(columns, length), torch.split(rows, length), strict=True)
