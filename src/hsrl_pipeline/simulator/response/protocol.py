"""What sessions, evaluation and a judge ask of anything that answers slates."""

from __future__ import annotations

from typing import Protocol

import torch

from hsrl_pipeline.observation import Observation


class Response(Protocol):
    """Anything that says how likely each item of a slate is to be clicked."""

    def probabilities(self, observation: Observation, slates: torch.Tensor) -> torch.Tensor:
        """Return (batch, slate) float32 click probabilities."""
        ...


def refuse_training_mode(response: Response) -> None:
    """Refuse a response model whose dropout would be drawn at every step.

    Args:
        response: A torch module, or anything else that gives probabilities.

    Raises:
        ValueError: It is a module in training mode.
    """
    if getattr(response, "training", False):
        raise ValueError("the response model is in training mode: call eval() or freeze() first")
