"""Targets for value learning and advantages for policy learning."""

from __future__ import annotations

import torch

from hsrl_pipeline.shapes import check_dtype, check_shape


def td_target(
    reward: torch.Tensor, terminated: torch.Tensor, next_value: torch.Tensor, gamma: float
) -> torch.Tensor:
    """Return the one-step target of the state value.

    Args:
        reward: (batch,) float32.
        terminated: (batch,) bool. The user left, so nothing comes after. Sessions cut by the
            horizon are not terminated: the value of their next observation still counts.
        next_value: (batch,) float32. Value of the same user's next observation.
        gamma: Discount in [0, 1).

    Returns:
        (batch,) float32, without gradient.

    Raises:
        ValueError: A shape or dtype differs from these.

    References:
        Paper, Eq. 18: ``r + gamma (1 - d) V'(s')``.
    """
    check_shape("reward", reward, None)
    check_dtype("reward", reward, "float")
    check_shape("terminated", terminated, *reward.shape)
    check_dtype("terminated", terminated, "bool")
    check_shape("next_value", next_value, *reward.shape)
    check_dtype("next_value", next_value, "float")
    return torch.where(terminated, reward, reward + gamma * next_value).detach()


def clipped_advantage(target: torch.Tensor, value: torch.Tensor, bound: float) -> torch.Tensor:
    """Return how much better than expected an action was, within bounds.

    Args:
        target: (batch,) float32. TD target of the state and action.
        value: (batch,) float32. Value of the state.
        bound: Largest absolute advantage, above 0.

    Returns:
        (batch,) float32 in ``[-bound, bound]``, without gradient.

    Raises:
        ValueError: A shape or dtype differs from these.

    References:
        Paper, Eq. 19 and Eq. 21 (clip at 1).
    """
    check_shape("target", target, None)
    check_dtype("target", target, "float")
    check_shape("value", value, *target.shape)
    check_dtype("value", value, "float")
    return (target - value).detach().clamp(-bound, bound)
