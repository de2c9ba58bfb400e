"""From the feedback on a slate to one number."""

from __future__ import annotations

import torch


def slate_reward(
    clicks: torch.Tensor, miss_penalty: float, sweet_point: float | None = None
) -> torch.Tensor:
    """Return the reward of each slate: the mean over its slots of ``y - c(1 - y)``.

    The mean is taken from the exact number of clicks in double precision, because patience is
    compared with a threshold that sessions can hit exactly.

    Args:
        clicks: (batch, slate) any real dtype. 1 where the item was clicked, else 0.
        miss_penalty: Cost c of a shown item without click, in [0, 1].
        sweet_point: When given, the mean r is reshaped to ``1 - |r - sweet_point|``.

    Returns:
        (batch,) float64. In ``[-c, 1]``; with a sweet point at most 1.

    References:
        Paper, App. B; docs/protocol.md#rewards.
    """
    slate_size = clicks.shape[-1]
    n_clicks = clicks.sum(dim=-1, dtype=torch.float64)
    reward = (n_clicks - miss_penalty * (slate_size - n_clicks)) / slate_size
    if sweet_point is not None:
        reward = 1.0 - (reward - sweet_point).abs()
    return reward
