"""Losses of stochastic policies over semantic IDs."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hsrl_pipeline.shapes import check_dtype, check_shape


def policy_gradient_loss(advantage: torch.Tensor, log_prob: torch.Tensor) -> torch.Tensor:
    """Return the advantage actor-critic loss, averaged over the batch.

    Args:
        advantage: (batch,) float32. How much better than expected the slate was; no gradient
            passes through it.
        log_prob: (batch, slate) float32. Log-probability of each item of the slate.

    Returns:
        0-dim float32: minus the mean of the advantage times the slate's mean log-probability.

    Raises:
        ValueError: A shape or dtype differs from these.

    References:
        Paper, Eq. 21 and Eq. 22.
    """
    check_shape("advantage", advantage, None)
    check_dtype("advantage", advantage, "float")
    check_shape("log_prob", log_prob, advantage.shape[0], None)
    check_dtype("log_prob", log_prob, "float")
    return -(advantage.detach() * log_prob.mean(-1)).mean()


def level_entropies(level_log_probs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the mean entropy of each level's code distribution.

    Args:
        level_log_probs: Per level (batch, vocab) float32 log-probabilities; ``-inf`` for codes
            that cannot be chosen.

    Returns:
        (level,) float32 in ``[0, log V_l]`` nats.

    Raises:
        ValueError: A shape or dtype differs from these.

    References:
        Paper, Eq. 23: its sum of ``p log p`` is minus the sum of these. It is minimised, so the
        entropies enter the loss with a minus.
    """
    for level, log_probs in enumerate(level_log_probs):
        check_shape(f"level_log_probs[{level}]", log_probs, None, None)
        check_dtype(f"level_log_probs[{level}]", log_probs, "float")
    return torch.stack([entropy_of(log_probs).mean() for log_probs in level_log_probs])


def entropy_of(log_probs: torch.Tensor) -> torch.Tensor:
    """Return the entropy of distributions; what cannot be chosen adds nothing.

    Args:
        log_probs: (batch, choice) float32. Log-probabilities, ``-inf`` for what cannot be chosen.

    Returns:
        (batch,) float32, in nats.

    Raises:
        ValueError: The shape or dtype differs from this.
    """
    check_shape("log_probs", log_probs, None, None)
    check_dtype("log_probs", log_probs, "float")
    probs = log_probs.exp()
    return -(probs * log_probs.masked_fill(probs == 0.0, 0.0)).sum(-1)


def behavior_cloning_loss(
    log_prob: torch.Tensor, clicks: torch.Tensor, counted: torch.Tensor | None = None
) -> torch.Tensor:
    """Return minus the log-likelihood of clicked items, averaged within and then over slates.

    Args:
        log_prob: (batch, slate) float32. Log-probability of each logged item.
        clicks: (batch, slate) float32. 1.0 where the item was clicked.
        counted: (batch, slate) bool. False for items the policy cannot recommend; None for all.

    Returns:
        0-dim float32. A slate without a counted click contributes 0.

    Raises:
        ValueError: A shape or dtype differs from these.

    References:
        Paper, Eq. 24.
    """
    check_shape("log_prob", log_prob, None, None)
    check_dtype("log_prob", log_prob, "float")
    check_shape("clicks", clicks, *log_prob.shape)
    check_dtype("clicks", clicks, "float")
    if counted is not None:
        check_shape("counted", counted, *log_prob.shape)
        check_dtype("counted", counted, "bool")
        clicks = clicks * counted
        log_prob = log_prob.masked_fill(~counted, 0.0)
    n_clicks = clicks.sum(-1)
    per_slate = -(clicks * log_prob).sum(-1) / n_clicks.clamp(min=1.0)
    return per_slate.mean()
