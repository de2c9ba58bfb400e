"""Feedback drawn from click probabilities, and the check that these are some."""

from __future__ import annotations

import torch


def draw_clicks(probabilities: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Return Bernoulli feedback from given uniform draws.

    Args:
        probabilities: (batch, slate) float32. Click probabilities in [0, 1].
        draws: (batch, slate) float32. Uniform in [0, 1).

    Returns:
        (batch, slate) float32. 1.0 where the draw falls below the probability.

    Raises:
        ValueError: A probability is not in [0, 1] (NaN included); names row and slot.

    References:
        docs/protocol.md#session-dynamics, point 2.
    """
    refuse_no_probability(probabilities)
    return (draws < probabilities).to(torch.float32)


def refuse_no_probability(probabilities: torch.Tensor) -> None:
    """Refuse what a response model must not give.

    Args:
        probabilities: (batch, slate) float32. Click probabilities.

    Raises:
        ValueError: One is not in [0, 1] (NaN included); names row and slot.
    """
    # NaN fails both comparisons of ``valid``, so that it cannot pass for "no click".
    valid = (probabilities >= 0.0) & (probabilities <= 1.0)
    if not bool(valid.all()):
        row, slot = (~valid).nonzero()[0].tolist()
        value = float(probabilities[row, slot])
        raise ValueError(f"click probability [{row}, {slot}] is {value}, expected one in [0, 1]")
