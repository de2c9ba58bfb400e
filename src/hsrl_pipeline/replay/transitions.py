"""A batch of environment transitions, as stored by the replay buffer and read by agents."""

from __future__ import annotations

from typing import NamedTuple

import torch

from hsrl_pipeline.observation import Observation


class TransitionBatch(NamedTuple):
    """One step of many sessions.

    Attributes:
        observation: What the policy saw before acting.
        slates: (batch, slate) int64. Recommended items in ``[1, n_items]``, distinct per row.
        clicks: (batch, slate) float32. 1.0 where the item was clicked.
        reward: (batch,) float32. Slate reward (protocol: mean of ``y - c(1 - y)``).
        successor: The same user's next observation; for a finished session its own last one
            (``final_obs``), never the next user's first.
        terminated: (batch,) bool. The user left; the successor's value does not count.
        truncated: (batch,) bool. The horizon cut the session; the successor's value still counts.
        latent_action: (batch, embed) float32. The continuous action an actor emitted (hyper-action
            agents); width 0 for agents without one.
        log_prob: (batch,) float32. Log-probability of the slate when it was sampled; 0 where the
            agent does not define one.
    """

    observation: Observation
    slates: torch.Tensor
    clicks: torch.Tensor
    reward: torch.Tensor
    successor: Observation
    terminated: torch.Tensor
    truncated: torch.Tensor
    latent_action: torch.Tensor
    log_prob: torch.Tensor
