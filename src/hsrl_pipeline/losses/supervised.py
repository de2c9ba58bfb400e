"""Losses on observed clicks."""

from __future__ import annotations

import torch
from torch.nn import functional

from hsrl_pipeline.shapes import PAD_ID, check_dtype, check_shape


def click_loss(logits: torch.Tensor, clicks: torch.Tensor, slates: torch.Tensor) -> torch.Tensor:
    """Return the binary cross-entropy of raw logits against clicks.

    The sigmoid is part of the loss; logits that already went through one would be squashed twice.

    Args:
        logits: (batch, slate) float32. Raw scores of the shown items.
        clicks: (batch, slate) float32. 1.0 where the item was clicked.
        slates: (batch, slate) int64. Shown items; positions with PAD_ID do not count.

    Returns:
        0-dim float32. Mean over the real positions; 0 when there is none.

    Raises:
        ValueError: A shape or dtype differs from these.
    """
    check_shape("logits", logits, None, None)
    check_dtype("logits", logits, "float")
    check_shape("clicks", clicks, *logits.shape)
    check_dtype("clicks", clicks, "float")
    check_shape("slates", slates, *logits.shape)
    check_dtype("slates", slates, "int64")
    shown = (slates != PAD_ID).to(logits.dtype)
    losses = functional.binary_cross_entropy_with_logits(logits, clicks, reduction="none")
    return (losses * shown).sum() / shown.sum().clamp(min=1.0)


def sampled_negative_loss(logits: torch.Tensor, slate_size: int) -> torch.Tensor:
    """Return the loss of items drawn at random, taken for exposures without click.

    Clicks are known only for what was shown; without this, items that were hardly ever shown get
    the highest of many arbitrary scores.

    Args:
        logits: (batch,) float32. Raw click logits of one random item per slate.
        slate_size: Items per slate (K); the loss is that of one slot of each slate.

    Returns:
        0-dim float32, on the scale of ``click_loss``.

    Raises:
        ValueError: A shape or dtype differs from these.
    """
    check_shape("logits", logits, None)
    check_dtype("logits", logits, "float")
    return functional.softplus(logits).mean() / slate_size
