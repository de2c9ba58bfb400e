"""Sums of rows of a table, and sums into its rows, as gradients of look-ups need them."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch.nn import functional as F


def sum_rows(table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return sums of table rows over levels; row 0 adds nothing and has no gradient.

    Args:
        table: (row, embed) float32. Row 0 is zero.
        rows: (..., level) int64. Rows of the table.

    Returns:
        (..., embed) float32.
    """
    if table.is_cuda:
        parts = [F.embedding(row, table, padding_idx=0) for row in rows.unbind(-1)]
        return torch.stack(parts).sum(0)
    return cast(torch.Tensor, _RowSums.apply(table, rows))  # type: ignore[no-untyped-call]


class _RowSums(torch.autograd.Function):
    """``sum_rows`` on a CPU, where adding rows is quicker than an embedding's gradient."""

    @staticmethod
    def forward(ctx: Any, table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        flat = rows.flatten(0, -2)
        ctx.save_for_backward(flat)
        ctx.n_rows = len(table)
        return F.embedding_bag(flat, table, mode="sum").view(*rows.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (flat,) = ctx.saved_tensors
        values = gradient.reshape(len(flat), -1)
        total = values.new_zeros(ctx.n_rows, values.shape[1])
        for row in flat.unbind(1):
            add_rows(total, row, values)
        total[0] = 0.0
        return total, None


def add_rows(total: torch.Tensor, rows: torch.Tensor, values: torch.Tensor) -> None:
    """Add values to rows of a total, in place and in an order that is always the same.

    Args:
        total: (row, any) float32.
        rows: (item,) int64. Row that each value is added to.
        values: (item, any) float32.
    """
    if values.is_cuda:
        # there, only the gradient of an embedding adds in a fixed order
        total += torch.ops.aten.embedding_dense_backward(values, rows, len(total), -1, False)
    else:
        total.index_add_(0, rows, values)
