"""Terms that tie a continuous action to the slate it produced: HAC and PG-RA.

References:
    Liu et al. 2023, "Exploration and Regularization of the Latent Action Space in
    Recommendation" (HAC).
    Chandak et al. 2019, "Learning Action Representations for Reinforcement Learning" (PG-RA).
"""

from __future__ import annotations

import math

import torch

from hsrl_pipeline.shapes import PAD_ID, check_dtype, check_shape


def pooled_items(item_table: torch.Tensor, slates: torch.Tensor) -> torch.Tensor:
    """Return the mean vector of a slate's items, HAC's map from effect-action to hyper-action.

    Args:
        item_table: (item, embed) float32. Row 0 belongs to padding and does not count.
        slates: (batch, slate) int64. Items in ``[1, n_items]`` or PAD_ID.

    Returns:
        (batch, embed) float32. Zero for a slate of padding only.

    Raises:
        ValueError: A shape or dtype differs from these.
    """
    check_shape("item_table", item_table, None, None)
    check_dtype("item_table", item_table, "float")
    check_shape("slates", slates, None, None)
    check_dtype("slates", slates, "int64")
    shown = (slates != PAD_ID).unsqueeze(-1).to(item_table.dtype)
    total = (item_table[slates] * shown).sum(1)
    return total / shown.sum(1).clamp(min=1.0)


def alignment_loss(hyper_action: torch.Tensor, recovered: torch.Tensor) -> torch.Tensor:
    """Return the squared distance between a hyper-action and the one its slate stands for.

    Args:
        hyper_action: (batch, embed) float32. What the actor emits now.
        recovered: (batch, embed) float32. The hyper-action recovered from the slate; no gradient
            flows into it, so that the actor moves to the items and not the items to the actor.

    Returns:
        0-dim float32. Sum over the embedding, mean over the batch.

    Raises:
        ValueError: A shape or dtype differs from these.
    """
    check_shape("hyper_action", hyper_action, None, None)
    check_dtype("hyper_action", hyper_action, "float")
    check_shape("recovered", recovered, *hyper_action.shape)
    check_dtype("recovered", recovered, "float")
    return (hyper_action - recovered.detach()).square().sum(-1).mean()


def representation_loss(log_prob: torch.Tensor, clicks: torch.Tensor) -> torch.Tensor:
    """Return PG-RA's supervised loss ``-log P(a | s, s')``, averaged over the clicked items.

    Only clicked items enter the next state, so nothing in ``(s, s')`` tells of the others: fitting
    those as well would only teach which items are shown often.

    Args:
        log_prob: (batch, slate) float32. Log-probability of each shown item under the items that
            the transition from ``s`` to ``s'`` points at.
        clicks: (batch, slate) float32. 1.0 where the item was clicked.

    Returns:
        0-dim float32; 0 when nothing was clicked.

    Raises:
        ValueError: A shape or dtype differs from these.

    References:
        Chandak et al. 2019, section 3.2 (the objective that action representations and their
        mapping are fitted to).
    """
    check_shape("log_prob", log_prob, None, None)
    check_dtype("log_prob", log_prob, "float")
    check_shape("clicks", clicks, *log_prob.shape)
    check_dtype("clicks", clicks, "float")
    return -(log_prob * clicks).sum() / clicks.sum().clamp(min=1.0)


def gaussian_log_prob(sample: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Return the log-density of each coordinate under an independent normal distribution.

    Args:
        sample: (batch, embed) float32.
        mean: (batch, embed) float32.
        std: (batch, embed) float32, above 0.

    Returns:
        (batch, embed) float32.

    Raises:
        ValueError: A shape or dtype differs from these.
    """
    check_shape("sample", sample, None, None)
    check_shape("mean", mean, *sample.shape)
    check_shape("std", std, *sample.shape)
    for name, tensor in (("sample", sample), ("mean", mean), ("std", std)):
        check_dtype(name, tensor, "float")
    return -0.5 * ((sample - mean) / std).square() - std.log() - 0.5 * math.log(2.0 * math.pi)


def gaussian_entropy(std: torch.Tensor) -> torch.Tensor:
    """Return the differential entropy of each coordinate, in nats.

    Args:
        std: (batch, embed) float32, above 0.

    Returns:
        (batch, embed) float32.

    Raises:
        ValueError: A shape or dtype differs from these.
    """
    check_shape("std", std, None, None)
    check_dtype("std", std, "float")
    return std.log() + 0.5 * math.log(2.0 * math.pi * math.e)
