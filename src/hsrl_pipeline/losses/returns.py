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


def lambda_return(
    reward: torch.Tensor,
    one_step_target: torch.Tensor,
    ended: torch.Tensor,
    gamma: float,
    decay: float,
) -> torch.Tensor:
    """Return the lambda-return of the first of some steps in a row, cut off after the last.

    From the last step back, ``G_k = r_k + gamma [(1 - decay) V(s'_k) + decay G_{k+1}]``; the last
    step's is its one-step target. Where a session ended, the next step belongs to another one:
    what counts there is the one-step target, which knows how it ended.

    Args:
        reward: (step, batch) float32.
        one_step_target: (step, batch) float32. ``td_target`` of each step.
        ended: (step, batch) bool. The session ended with this step, in either way.
        gamma: Discount in [0, 1).
        decay: Lambda in [0, 1]: 0 is the one-step target, 1 the return over all steps.

    Returns:
        (batch,) float32, without gradient.

    Raises:
        ValueError: A shape or dtype differs from these.

    References:
        Sutton and Barto 2018, section 12.3, truncated lambda-return.
    """
    check_shape("reward", reward, None, None)
    check_dtype("reward", reward, "float")
    check_shape("one_step_target", one_step_target, *reward.shape)
    check_dtype("one_step_target", one_step_target, "float")
    check_shape("ended", ended, *reward.shape)
    check_dtype("ended", ended, "bool")
    found = one_step_target[-1]
    for step in range(len(reward) - 2, -1, -1):
        target = one_step_target[step]
        longer = reward[step] + gamma * found
        found = torch.where(ended[step], target, torch.lerp(target, longer, decay))
    return found.detach()


def level_targets(target: torch.Tensor, values: torch.Tensor, decay: float) -> torch.Tensor:
    """Return what the choice at each level is measured by: a mix of the values after it.

    From the last level back, ``T_l = (1 - decay) V_l + decay T_{l+1}``; the last level's is the
    target itself. Less the value before the level, it is the advantage
    ``sum_{m >= l} decay^(m - l) (V_m - V_{m-1})`` with ``V_L`` for the target.

    Args:
        target: (batch,) float32. Target of the whole action.
        values: (level, batch) float32. Value before the choice at each level.
        decay: Lambda in [0, 1]: 1 is the target at every level, 0 the value after the choice.

    Returns:
        (level, batch) float32, without gradient.

    Raises:
        ValueError: A shape or dtype differs from these.
    """
    check_shape("target", target, None)
    check_dtype("target", target, "float")
    check_shape("values", values, None, *target.shape)
    check_dtype("values", values, "float")
    found = [target]
    for after in values[1:].flip(0):
        found.append(torch.lerp(after, found[-1], decay))
    return torch.stack(found[::-1]).detach()


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
