"""Dot products of queries with chosen rows of a table that is not trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import embedding

PIECE_SIZE = 2**16
"""Numbers gathered at a time, about what the cache of a core holds."""


def row_scores(query: torch.Tensor, table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return the dot product of each query with its own rows.

    The gathered rows are many times larger than the scores. They are gathered in pieces, and again
    for the gradient, so that memory hardly grows with the number of rows per query.

    Args:
        query: (..., embed) float32, or an axis of 1 where queries are the same.
        table: (row, embed) float32. Gets no gradient.
        rows: (..., slot) int64. Rows of the table for each query.

    Returns:
        (..., slot) float32.
    """
    scores: torch.Tensor = _RowScores.apply(  # type: ignore[no-untyped-call]
        query.expand(*rows.shape[:-1], -1).flatten(0, -2), table, rows.flatten(0, -2)
    )
    return scores.view(rows.shape)


class _RowScores(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, table: torch.Tensor, rows: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(table, rows)
        ctx.query_dtype = query.dtype
        pairs = _pieces(query.unsqueeze(-1), rows, table.shape[1])
        return torch.cat([embedding(part, table) @ column for column, part in pairs])[..., 0]

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        table, rows = ctx.saved_tensors
        pairs = _pieces(gradients[0].unsqueeze(-1).to(table.dtype), rows, table.shape[1])
        of_query = torch.cat([embedding(part, table).mT @ column for column, part in pairs])
        return of_query[..., 0].to(ctx.query_dtype), None, None


def _pieces(
    columns: torch.Tensor, rows: torch.Tensor, width: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Cut both along their first axis so that a piece gathers no more than ``PIECE_SIZE``."""
    length = max(PIECE_SIZE // (rows.shape[1] * width), 1)
    return zip(torch.split(columns, length), torch.split(rows, length), strict=True)
