"""How often simulated users click each item, user by user before their sessions start."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hsrl_pipeline.seeding import numpy_generator
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.response.recorded import with_user_numbers
from hsrl_pipeline.simulator.user_pool import UserPool

N_STARTS = 2000
"""First states that the mean is taken over, unless the pool has fewer."""

BATCH_SIZE = 256


@torch.no_grad()
def mean_clicks(
    response: UserResponseModel, pool: UserPool, *, seed: int, n_starts: int = N_STARTS
) -> NDArray[np.float64]:
    """Return the mean click probability of every item over first states of sessions.

    Ranked by it, the items are the first attempt at a static slate (docs/protocol.md#references).

    Args:
        response: The training simulator, in evaluation mode.
        pool: First states of training users; their history is that of clicks.
        seed: Seed of the run; draws the states.
        n_starts: Number of states, each drawn once at most.

    Returns:
        (item,) float64. In [0, 1]; entry 0 is 0.
    """
    generator = numpy_generator(seed, "simulator.mean_clicks")
    drawn = np.sort(generator.permutation(len(pool))[:n_starts])
    sums = torch.zeros(response.n_items + 1, dtype=torch.float64)
    for start in range(0, len(drawn), BATCH_SIZE):
        rows = torch.from_numpy(drawn[start : start + BATCH_SIZE])
        observation = pool.observation(rows)
        if response.identified:
            observation = with_user_numbers(observation, pool.users[rows].to(torch.int64))
        sums += torch.sigmoid(response.scores_all(observation)).sum(0, dtype=torch.float64)
    return np.asarray(sums.numpy() / len(drawn))
