"""The places of the largest scores among very many."""

from __future__ import annotations

import torch

MANY_SCORES, BLOCK = 2**16, 256
"""Scores from which the largest are searched block by block, and the scores of a block."""


def top_places(scores: torch.Tensor, n: int) -> torch.Tensor:
    """Return the places of the largest scores, in order.

    Among very many scores the largest n lie in the n blocks with the largest maxima, and a maximum
    is far cheaper than a selection.

    Args:
        scores: (batch, place) float32.
        n: Places to return.

    Returns:
        (batch, n) int64.
    """
    batch, size = scores.shape
    n_blocks = size // BLOCK
    if size < MANY_SCORES or n_blocks <= n:
        return scores.topk(n, dim=-1).indices
    whole = n_blocks * BLOCK
    blocks = scores[:, :whole].reshape(batch, n_blocks, BLOCK)
    # of equal maxima the topmost blocks still hold n of the largest scores
    chosen = blocks.amax(-1).topk(n, dim=-1).indices
    places = (chosen.unsqueeze(-1) * BLOCK + torch.arange(BLOCK, device=scores.device)).flatten(1)
    rest = torch.arange(whole, size, device=scores.device).expand(batch, -1)
    places = torch.cat([places, rest], dim=1)
    return places.gather(1, scores.gather(1, places).topk(n, dim=-1).indices)
