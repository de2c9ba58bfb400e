"""Exact draws without replacement from softmaxes over many items."""

from __future__ import annotations

import torch

from hsrl_pipeline.losses.slate_and_rest import FAINTEST
from hsrl_pipeline.networks.top_places import top_places

DRAWS_PER_PLACE = 4
"""Draws with replacement, per place, after which a row that still lacks items is drawn from what
is left in another way."""


def draw_without_replacement(
    logits: torch.Tensor, n: int, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Draw places one after the other, each from the softmax over those that are left.

    Args:
        logits: (batch, place) float32. ``-inf`` for places that are never drawn.
        n: Places to draw per row.
        generator: Random stream on the device of the logits.

    Returns:
        (batch, n) int64. In the order of the draw; where fewer than n places may be drawn, the
        last ones are any others.
    """
    if logits.device.type != "cpu":
        return _perturbed(logits, n, generator)
    weights = (logits - logits.amax(1, keepdim=True)).clamp_(min=FAINTEST).exp_()
    weights.masked_fill_(logits == -torch.inf, 0.0)
    # rows without a place to draw, and what is not a number, are for the caller to notice
    if not bool(weights.sum(1).isfinite().all()):
        return _perturbed(logits, n, generator)
    # in double precision, so that sums over very many places lose none of them
    drawn = torch.multinomial(
        weights.double(), DRAWS_PER_PLACE * n, replacement=True, generator=generator
    )
    repeated = (drawn.unsqueeze(2) == drawn.unsqueeze(1)).tril(-1).any(2)
    order = repeated.to(torch.uint8).sort(dim=1, stable=True).indices[:, :n]
    places = drawn.gather(1, order)
    missing = repeated.gather(1, order)
    rows = missing.any(1).nonzero().squeeze(1)
    if len(rows):
        found = places[rows]
        # what was found is out; a repeated place is one of those
        left = logits[rows].scatter(1, found, -torch.inf)
        others = _perturbed(left, n, generator)
        lacking = missing[rows]
        places[rows] = found.where(~lacking, others.gather(1, lacking.cumsum(1).sub(1).clamp(0)))
    return places


def _perturbed(logits: torch.Tensor, n: int, generator: torch.Generator | None) -> torch.Tensor:
    """Return the places of the largest logits after Gumbel noise."""
    waiting = torch.empty_like(logits).exponential_(generator=generator)
    return top_places(logits - waiting.log(), n)
