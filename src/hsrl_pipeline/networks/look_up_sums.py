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

from hsrl_pipeline.networks.row_sums import add_rows

ITEMS_AT_A_TIME = 2**10
"""Items whose numbers are worked through before those of others: of very many, a part's numbers
still lie in a cache when they are read again."""


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
    scores = _LookUpSums.apply(  # type: ignore[no-untyped-call]
        *tables, first_scores, numbers, query, *parts
    )
    return cast(torch.Tensor, scores).t()


class _LookUpSums(torch.autograd.Function):
    """``sum_look_ups``, (item, batch)."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cuda", cast_inputs=torch.float32)  # type: ignore[untyped-decorator]
    def forward(  # noqa: PLR0917 (autograd functions take no keywords)
        ctx: Any,
        first_codes: torch.Tensor,
        missing: torch.Tensor,
        item_vectors: Any,
        first_scores: torch.Tensor,
        numbers: torch.Tensor,
        query: Any,
        further_codes: Any,
        projected: Any,
        gates: Any,
        code_rows: Any,
        offsets: Any,
        scales: Any,
    ) -> torch.Tensor:
        size = len(first_codes), first_scores.shape[1]
        scores = first_scores.new_empty(size)
        products: Any = None if further_codes is None else first_scores.new_empty(size)
        for block in _blocks(len(first_codes)):
            codes, own = first_codes[block], scores[block]
            of_first = first_scores.index_select(0, codes)
            if further_codes is None:
                torch.add(of_first, numbers[block].unsqueeze(1), out=own)
            else:
                rows = F.embedding_bag(further_codes[block], code_rows, mode="sum")
                rows.mul_(gates.index_select(0, codes))
                product = products[block]
                torch.addmm(offsets[block].unsqueeze(1), rows, projected.t(), out=product)
                of_first.add_(numbers[block].unsqueeze(1))
                torch.addcmul(of_first, product, scales.index_select(0, codes), out=own)
            if query is not None:
                own.addmm_(item_vectors[block], query.t())
        scores.index_fill_(0, missing, -torch.inf)
        ctx.save_for_backward(
            first_codes, missing, item_vectors, first_scores, query, further_codes, projected,
            gates, code_rows, scales, products,
        )  # fmt: skip
        return scores

    @staticmethod
    @torch.amp.custom_bwd(device_type="cuda")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        (
            first_codes, missing, item_vectors, first_scores, query, further_codes, projected,
            gates, code_rows, scales, products,
        ) = ctx.saved_tensors  # fmt: skip
        if bool(gradient.index_select(0, missing).any()):
            gradient = gradient.index_fill(0, missing, 0.0)
        of_first = torch.zeros_like(first_scores)
        of_query = None if query is None else torch.zeros_like(query)
        of_numbers = gradient.sum(1)
        contexts = (projected, gates, code_rows, scales)
        of_contexts: list[Any] = [
            None if part is None else torch.zeros_like(part) for part in contexts
        ]
        of_projected, of_gates, of_code_rows, of_scales = of_contexts
        of_offsets: Any = None if further_codes is None else torch.empty_like(of_numbers)
        for block in _blocks(len(first_codes)):
            codes, own = first_codes[block], gradient[block]
            add_rows(of_first, codes, own)
            if of_query is not None:
                of_query.addmm_(own.t(), item_vectors[block])
            if further_codes is None:
                continue
            add_rows(of_scales, codes, products[block] * own)
            of_products = scales.index_select(0, codes).mul_(own)
            torch.sum(of_products, 1, out=of_offsets[block])
            own_gates = gates.index_select(0, codes)
            summed = F.embedding_bag(further_codes[block], code_rows, mode="sum")
            of_projected.addmm_(of_products.t(), summed * own_gates)
            of_rows = of_products @ projected
            add_rows(of_gates, codes, summed.mul_(of_rows))
            of_rows.mul_(own_gates)
            for further in further_codes[block].unbind(1):
                add_rows(of_code_rows, further, of_rows)
        return (
            None, None, None, of_first, of_numbers, of_query, None, of_projected, of_gates,
            of_code_rows, of_offsets, of_scales,
        )  # fmt: skip


def _blocks(n_items: int) -> list[slice]:
    """Return slices of at most ``ITEMS_AT_A_TIME`` items."""
    return [slice(start, start + ITEMS_AT_A_TIME) for start in range(0, n_items, ITEMS_AT_A_TIME)]
