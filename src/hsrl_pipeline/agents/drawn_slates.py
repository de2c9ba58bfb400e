"""What an update learns from where several slates were drawn for each state."""

from __future__ import annotations

from typing import NamedTuple

import torch

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch


class DrawnSlates(NamedTuple):
    """All slates that an update learns from, a batch of those shown before one of each other draw.

    Attributes:
        state: (group * batch, embed) float32. Encoded observations.
        observation: The observations.
        slates: (group * batch, slate) int64.
        clicks: (group * batch, slate) float32. Feedback of the slates shown, click probabilities of
            the others.
    """

    state: torch.Tensor
    observation: Observation
    slates: torch.Tensor
    clicks: torch.Tensor


def drawn_slates(batch: TransitionBatch, state: torch.Tensor) -> DrawnSlates:
    """Return the slates that were shown in some states, and those that were judged there.

    Args:
        batch: Transitions.
        state: (batch, embed) float32. Their encoded observations.
    """
    if batch.judged is None:
        return DrawnSlates(state, batch.observation, batch.slates, batch.clicks)
    slates, clicks = batch.judged
    times = 1 + len(slates)
    return DrawnSlates(
        state.repeat(times, 1),
        batch.observation.repeat(times),
        torch.cat([batch.slates, slates.flatten(0, 1)]),
        torch.cat([batch.clicks, clicks.flatten(0, 1)]),
    )
