"""Scores of a whole catalogue for many states, with their gradients, as matrix products.

For one state, a look-up per code and item is the cheapest way to the scores of all items. For many
states, and above all for gradients, it is not: every look-up's gradient has to be added to its
cell. Here every item has one row for all states instead, made of what its codes look up, and the
scores are products of these rows with the states.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch.nn import functional as F


class ContextRows(NamedTuple):
    """What first codes make of states, and what further codes read from it.

    Attributes:
        projected: (batch, context) float32. States, as wide as contexts.
        gates: (first code, context) float32. What each context is multiplied by.
        code_rows: (further code, context) float32. Codes of all levels from 2 on, one level after
            the other.
        offsets: (item,) float32. What is added to an item's product.
        scales: (first code, batch) float32. What the sum is multiplied by.
        further_codes: (item, level) int64. Rows of ``code_rows``.
    """

    projected: torch.Tensor
    gates: torch.Tensor
    code_rows: torch.Tensor
    offsets: torch.Tensor
    scales: torch.Tensor
    further_codes: torch.Tensor


def sum_look_ups(
    first_codes: torch.Tensor,
    first_scores: torch.Tensor,
    numbers: torch.Tensor,
    has_score: torch.Tensor,
    *,
    contexts: ContextRows | None = None,
    query: torch.Tensor | None = None,
    item_vectors: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the scores of all items.

    With ``z`` the first code of item i, and the codes ``z_l`` of its further levels,

        s(i | b) = a[z, b] + r[z, b] (k_i + c_b . (g_z * sum_l w[z_l])) + v_i . q_b + n_i

    Args:
        first_codes: (item,) int64. Rows of ``first_scores``.
        first_scores: (first code, batch) float32, ``a``.
        numbers: (item,) float32, ``n``.
        has_score: (item,) bool. All other items have ``-inf``.
        contexts: ``c``, ``g``, ``w``, ``k``, ``r`` and ``z_l``; None where items have one code.
        query: (batch, vector) float32, ``q``; None to leave the product out.
        item_vectors: (item, vector) float32, ``v``; no gradient passes to them.

    Returns:
        (batch, item) float32. The numbers of an item lie side by side.
    """
    if contexts is None:
        parts: tuple[torch.Tensor | None, ...] = (None,) * 6
    else:
        parts = (contexts.further_codes, *contexts[:5])
    missing = (~has_score).nonzero().squeeze(1)
    tables = first_codes, missing, item_vectors
    scores = _LookUpSums.apply(*tables, first_scores, numbers, query, *parts)
    return cast(torch.Tensor, scores).t()


class _LookUpSums(torch.autograd.Function):
    """``sum_look_ups``, (item, batch)."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cuda", cast_inputs=torch.float32)
    def forward(  # type: ignore[override]  # noqa: PLR0917
        ctx: Any,
        first_codes: torch.Tensor,
        missing: torch.Tensor,
        item_vectors: torch.Tensor | None,
        first_scores: torch.Tensor,
        numbers: torch.Tensor,
        query: torch.Tensor | None,
        further_codes: torch.Tensor | None,
        projected: torch.Tensor | None,
        gates: torch.Tensor | None,
        code_rows: torch.Tensor | None,
        offsets: torch.Tensor | None,
        scales: torch.Tensor | None,
    ) -> torch.Tensor:
        scores = first_scores.index_select(0, first_codes)
        products = summed = None
        if further_codes is not None:
            summed = F.embedding_bag(further_codes, code_rows, mode="sum")
            rows = summed * gates.index_select(0, first_codes)
            products = torch.addmm(offsets.unsqueeze(1), rows, projected.t())
            scores.addcmul_(products, scales.index_select(0, first_codes))
        if query is not None:
            scores.addmm_(item_vectors, query.t())
        scores.add_(numbers.unsqueeze(1)).index_fill_(0, missing, -torch.inf)
        ctx.save_for_backward(
            first_codes, missing, item_vectors, first_scores, query, further_codes, projected, gates,
            code_rows, scales, summed, products,
        )  # fmt: skip
        return scores

    @staticmethod
    @torch.amp.custom_bwd(device_type="cuda")
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        (
            first_codes, missing, item_vectors, first_scores, query, further_codes, projected, gates,
            code_rows, scales, summed, products,
        ) = ctx.saved_tensors  # fmt: skip
        gradient, n_first = gradient.index_fill(0, missing, 0.0), len(first_scores)
        of_query = None if query is None else gradient.t() @ item_vectors
        of_numbers = gradient.sum(1)
        if further_codes is None:
            of_first = _sum_by_row(gradient, first_codes, n_first)
            return None, None, None, of_first, of_numbers, of_query, *(None,) * 6
        of_first = _sum_by_row(gradient, first_codes, n_first)
        of_scales = _sum_by_row(products.mul_(gradient), first_codes, n_first)
        of_products = scales.index_select(0, first_codes).mul_(gradient)
        own_gates = gates.index_select(0, first_codes)
        of_projected = of_products.t() @ (summed * own_gates)
        of_rows = of_products @ projected
        of_gates = _sum_by_row(summed * of_rows, first_codes, n_first)
        of_summed = of_rows.mul_(own_gates)
        of_code_rows = sum(
            _sum_by_row(of_summed, codes, len(code_rows)) for codes in further_codes.unbind(1)
        )
        return (
            None, None, None, of_first, of_numbers, of_query, None, of_projected, of_gates,
            cast(torch.Tensor, of_code_rows), of_products.sum(1), of_scales,
        )  # fmt: skip


def _sum_by_row(values: torch.Tensor, rows: torch.Tensor, n_rows: int) -> torch.Tensor:
    """Return (row, any), the sums of the values (item, any) of each row."""
    if values.is_cuda:
        # there, only the gradient of an embedding adds in a fixed order
        return torch.ops.aten.embedding_dense_backward(values, rows, n_rows, -1, False)  # type: ignore[no-any-return]
    return values.new_zeros(n_rows, values.shape[1]).index_add_(0, rows, values)
