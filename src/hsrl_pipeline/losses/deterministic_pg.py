"""Losses of actors that emit one continuous action: DDPG and TD3.

References:
    Lillicrap et al. 2015, "Continuous control with deep reinforcement learning" (DDPG).
    Fujimoto, van Hoof and Meger 2018, "Addressing Function Approximation Error in Actor-Critic
    Methods" (TD3).
"""

from __future__ import annotations

import torch

from hsrl_pipeline.shapes import check_dtype, check_shape


def noisy_action(
    action: torch.Tensor,
    *,
    noise_std: float,
    noise_clip: float,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Add clipped Gaussian noise to an action.

    Serves both exploration and the target policy smoothing of TD3; the caller puts the result
    back into the action space, as clipping at the bounds does in the reference.

    Args:
        action: (batch, latent) float32.
        noise_std: Standard deviation of the noise, at least 0; 0 returns the action.
        noise_clip: Largest noise in either direction, above 0; infinity leaves it unclipped.
        generator: Random stream on the device of the action.

    Returns:
        (batch, latent) float32.

    Raises:
        ValueError: A shape or dtype differs from these.

    References:
        Fujimoto et al. 2018, Eq. 14.
    """
    check_shape("action", action, None, None)
    check_dtype("action", action, "float")
    if noise_std == 0.0:
        return action
    noise = torch.randn(action.shape, generator=generator, device=action.device, dtype=action.dtype)
    return action + (noise * noise_std).clamp(-noise_clip, noise_clip)


def critics_loss(values: torch.Tensor, td_target: torch.Tensor) -> torch.Tensor:
    """Return the mean squared TD error, summed over critics.

    Args:
        values: (critic, batch) float32. Q-values of the actions taken.
        td_target: (batch,) float32. No gradient flows into it.

    Returns:
        0-dim float32.

    Raises:
        ValueError: A shape or dtype differs from these.
    """
    check_shape("values", values, None, None)
    check_dtype("values", values, "float")
    check_shape("td_target", td_target, values.shape[1])
    check_dtype("td_target", td_target, "float")
    return (values - td_target.detach()).square().mean(-1).sum()


def deterministic_policy_loss(values: torch.Tensor) -> torch.Tensor:
    """Return the mean of ``-Q(s, mu(s))``, whose gradient is the deterministic policy gradient.

    Args:
        values: (batch,) float32. Q-values of the actor's own actions.

    Returns:
        0-dim float32.

    Raises:
        ValueError: A shape or dtype differs from these.

    References:
        Silver et al. 2014, "Deterministic Policy Gradient Algorithms", Eq. 9; Lillicrap et al.
        2015, Eq. 6.
    """
    check_shape("values", values, None)
    check_dtype("values", values, "float")
    return -values.mean()
