"""A batch of environment transitions, as stored by the replay buffer and read by agents."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from hsrl_pipeline.observation import Observation

NEXT_OBSERVATION_KEY = "successor"
"""Name of the next observation in checkpoints, kept so that those of earlier versions resume."""


class JudgedSlates(NamedTuple):
    """Further slates that were drawn for the states of some transitions, judged but not shown.

    Attributes:
        slates: (other, batch, slate) int64. Drawn independently of each other and the shown one.
        clicks: (other, batch, slate) float32. Their click probabilities.
    """

    slates: torch.Tensor
    clicks: torch.Tensor


class TransitionBatch(NamedTuple):
    """One step of many sessions.

    Attributes:
        observation: What the policy saw before acting.
        slates: (batch, slate) int64. Recommended items in ``[1, n_items]``, distinct per row.
        clicks: (batch, slate) float32. 1.0 where the item was clicked.
        reward: (batch,) float32. Slate reward ``mean(y - c(1 - y))``, docs/protocol.md#rewards.
        next_observation: What the same user saw next; for a finished session its own last one
            (``final_obs``), never the next user's first.
        terminated: (batch,) bool. The user left; nothing that comes after counts.
        truncated: (batch,) bool. The horizon cut the session; the value of what came next counts.
        latent_action: (batch, embed) float32. The continuous action an actor emitted (hyper-action
            agents); width 0 for agents without one.
        log_prob: (batch,) float32. Log-probability of the slate when it was sampled; 0 where the
            agent does not define one.
        judged: Further slates for the same states; None for an agent that learns from those shown
            alone.
    """

    observation: Observation
    slates: torch.Tensor
    clicks: torch.Tensor
    reward: torch.Tensor
    next_observation: Observation
    terminated: torch.Tensor
    truncated: torch.Tensor
    latent_action: torch.Tensor
    log_prob: torch.Tensor
    judged: JudgedSlates | None = None


def to_plain(batch: TransitionBatch) -> dict[str, Any]:
    """Return a batch in types that a checkpoint can hold."""
    plain = batch._asdict()
    next_observation = plain.pop("next_observation")
    judged = plain.pop("judged")
    pair = {"observation": tuple(batch.observation), NEXT_OBSERVATION_KEY: tuple(next_observation)}
    return plain | pair | ({} if judged is None else {"judged": judged._asdict()})


def from_plain(plain: dict[str, Any], device: torch.device) -> TransitionBatch:
    """Return the batch that ``to_plain`` took apart."""
    kept = dict(plain)
    judged = kept.pop("judged", None)
    if judged is not None:
        judged = JudgedSlates(**{name: part.to(device) for name, part in judged.items()})
    fields: dict[str, Any] = {
        name: Observation(*value).to(device) if isinstance(value, tuple) else value.to(device)
        for name, value in kept.items()
    }
    next_observation = fields.pop(NEXT_OBSERVATION_KEY)
    return TransitionBatch(next_observation=next_observation, judged=judged, **fields)
