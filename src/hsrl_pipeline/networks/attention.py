"""Attention of one question per history."""

from __future__ import annotations

import torch


def attend_once(
    query: torch.Tensor,
    states: torch.Tensor,
    *,
    key_weight: torch.Tensor,
    value_weight: torch.Tensor,
    value_bias: torch.Tensor,
    bias: torch.Tensor,
    n_heads: int,
) -> torch.Tensor:
    """Return what one question per history gathers, without making keys and values.

    A score ``q . (K x)`` is ``(K' q) . x``, and a weighted sum of ``V x`` is V times that of x, so
    the question and the sum pass through the weights in place of every position. A bias of keys
    adds the same to all scores of a question, which changes nothing.

    Args:
        query: (batch, embed) float32.
        states: (batch, position, embed) float32, what keys and values are made of.
        key_weight: (embed, embed) float32.
        value_weight: (embed, embed) float32.
        value_bias: (embed,) float32.
        bias: (batch, position) float32. Added to scores; not ``-inf`` for a whole row.
        n_heads: Heads, side by side in ``embed``.

    Returns:
        (batch, embed) float32.
    """
    size = query.shape[1]
    head_of = torch.arange(n_heads, device=query.device).repeat_interleave(size // n_heads)
    own = (head_of == torch.arange(n_heads, device=query.device).unsqueeze(1)).to(query.dtype)
    questions = (query.unsqueeze(1) * (own * (size // n_heads) ** -0.5)) @ key_weight
    scores = torch.bmm(questions, states.transpose(1, 2)) + bias.unsqueeze(1)
    weights = scores.softmax(-1)
    gathered = torch.bmm(weights, states) @ value_weight.t()
    return (gathered * own).sum(1) + value_bias
