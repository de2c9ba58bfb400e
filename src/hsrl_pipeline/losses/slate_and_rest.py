"""What the likelihood of a slate needs to know of the items that are not on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch

from hsrl_pipeline.shapes import check_shape

HIDDEN = -1e20
"""Score of items that take no probability: finite, so that gradients beside it stay defined."""

FAINTEST = -60.0
"""Log of the share of the likeliest item below which a share counts as no less: it is nothing
beside it in float32 and never drawn, and exponentials that end in smaller numbers are slow on a
CPU."""


class SlateAndRest(NamedTuple):
    """Scores of a slate's items, and a summary of all others that may be shown.

    Attributes:
        chosen: (batch, slate) float32. Scores of the slate's items.
        hidden: (batch, slate) bool. Which of them may not be shown.
        log_mass: (batch, shelf) float32. Log of the sum of the others' exponentiated scores, per
            shelf; about ``HIDDEN`` where there are none.
        mean_score: (batch, shelf) float32. Mean score of the others under their own softmax.
    """

    chosen: torch.Tensor
    hidden: torch.Tensor
    log_mass: torch.Tensor
    mean_score: torch.Tensor


def split_slate(
    scores: torch.Tensor,
    slates: torch.Tensor,
    shown: torch.Tensor,
    *,
    absent: torch.Tensor | None = None,
    shelves: Sequence[torch.Tensor] | None = None,
) -> SlateAndRest:
    """Return the scores of slates' items and what the rest of the catalogue comes to.

    Whatever has to be known of a softmax without replacement and of its entropy follows from
    these few numbers, at one look at the catalogue forwards and one backwards.

    Args:
        scores: (batch, item) float32. Column 0 belongs to padding; ``-inf`` for items that can't
            be recommended.
        slates: (batch, slate) int64. Distinct items in ``[1, n_items]``.
        shown: (batch, shown) int64. Items that may not be shown, PAD_ID elsewhere.
        absent: (item,) bool. Items that may not be shown to anybody; None for no more than those
            with ``-inf``.
        shelves: Per shelf (any,) int64, its items; None where all items form one.

    Raises:
        ValueError: Another number of slates than of rows of scores.
    """
    check_shape("scores", scores, None, None)
    check_shape("slates", slates, scores.shape[0], None)
    values = _SplitSlate.apply(scores, slates, shown, absent, shelves)  # type: ignore[no-untyped-call]
    return SlateAndRest(*cast(tuple[torch.Tensor, ...], values))


class _SplitSlate(torch.autograd.Function):
    """``split_slate``; inside, the numbers of an item lie side by side."""

    @staticmethod
    def forward(  # noqa: PLR0917 (autograd functions take no keywords)
        ctx: Any,
        scores: torch.Tensor,
        slates: torch.Tensor,
        shown: torch.Tensor,
        absent: torch.Tensor | None,
        shelves: Sequence[torch.Tensor] | None,
    ) -> tuple[torch.Tensor, ...]:
        places = slates.t()
        left = scores.t().clamp(min=HIDDEN).contiguous()
        chosen = left.gather(0, places).t()
        left[0] = HIDDEN
        left.scatter_(0, shown.t(), HIDDEN)
        if absent is not None:
            left.masked_fill_(absent.unsqueeze(1), HIDDEN)
        hidden = left.gather(0, places).t() <= HIDDEN
        left.scatter_(0, places, HIDDEN)
        saved, log_masses, means = [], [], []
        for group in [left] if shelves is None else [left.index_select(0, own) for own in shelves]:
            largest = group.amax(0)
            shares, sums, mean = _soften(group, largest)
            saved += [group, shares, sums, mean]
            log_masses.append(largest + sums.log())
            means.append(largest + mean)
        ctx.shelves, ctx.size = shelves, len(left)
        ctx.save_for_backward(places, *saved)
        ctx.mark_non_differentiable(hidden)
        return chosen, hidden, torch.stack(log_masses, 1), torch.stack(means, 1)

    @staticmethod
    def backward(
        ctx: Any,
        of_chosen: torch.Tensor,
        of_hidden: torch.Tensor,
        of_log_mass: torch.Tensor,
        of_mean: torch.Tensor,
    ) -> tuple[torch.Tensor | None, ...]:
        places, *saved = ctx.saved_tensors
        parts = []
        for shelf in range(of_log_mass.shape[1]):
            group, shares, sums, mean = saved[4 * shelf : 4 * shelf + 4]
            # a softmax's share times (g_1 + g_2 (1 + score - mean score))
            slope = of_mean[:, shelf] / sums
            level = of_log_mass[:, shelf] / sums + slope * (1.0 - mean)
            parts.append(torch.addcmul(level, group, slope).mul_(shares))
        if ctx.shelves is None:
            gradient = parts[0]
        else:
            gradient = of_chosen.new_zeros(ctx.size, len(of_chosen))
            for own, part in zip(ctx.shelves, parts, strict=True):
                gradient.index_copy_(0, own, part)
        gradient.scatter_add_(0, places, of_chosen.t())
        return gradient.t(), None, None, None, None


def _soften(
    scores: torch.Tensor, largest: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Make scores (item, batch) differences from the largest ones, in place.

    Returns:
        shares: (item, batch) float32. Exponentials of the differences.
        sums: (batch,) float32. Their sums.
        mean: (batch,) float32. Mean difference under the shares.
    """
    # exponentials that end in numbers too small for float32 are slow on a CPU
    shares = scores.sub_(largest).clamp_(min=FAINTEST).exp()
    sums = shares.sum(0)
    return shares, sums, (shares * scores).sum(0) / sums
