"""Mean click probabilities over first states."""

from __future__ import annotations

import numpy as np
import torch

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.mean_clicks import mean_clicks
from hsrl_pipeline.simulator.response.constant import ConstantResponse
from hsrl_pipeline.simulator.user_pool import UserPool


class ByNewestClick(ConstantResponse):
    """Item i is clicked with probability i / 10 after item 1 and never after others."""

    def scores_all(self, observation: Observation) -> torch.Tensor:
        likes = (observation.history[:, -1:] == 1).float()
        chances = torch.arange(self.n_items + 1).float()[None] / 10
        return torch.logit(likes * chances)


class ByUser(ConstantResponse):
    """Told who the user is: user 2 clicks everything, the others nothing."""

    identified = True

    def scores_all(self, observation: Observation) -> torch.Tensor:
        clicks = (observation.user_dense[:, -1:] == 2).float()
        return (
            torch.logit(clicks)
            .expand(-1, self.n_items + 1)
            .index_fill(1, torch.tensor(0), -torch.inf)
        )


def pool_of(*newest: int) -> UserPool:
    rows = len(newest)
    histories = torch.tensor([[0, item] for item in newest])
    return UserPool.from_rows(torch.zeros((rows, 0)).long(), torch.zeros((rows, 0)), histories)


def test_the_mean_is_over_the_states_of_the_pool() -> None:
    means = mean_clicks(ByNewestClick(0.5, 3, 2), pool_of(1, 2, 1, 3), seed=0)
    np.testing.assert_allclose(means, [0, 0.05, 0.1, 0.15], rtol=1e-6)
    assert means.dtype == np.float64


def test_users_of_their_own_taste_are_told_apart() -> None:
    means = mean_clicks(ByUser(0.5, 3, 2), pool_of(1, 1, 1, 1), seed=0)
    np.testing.assert_allclose(means, [0, 0.25, 0.25, 0.25])


def test_states_are_drawn_by_the_seed() -> None:
    response, pool = ByNewestClick(0.5, 3, 2), pool_of(*([1, 2] * 20))
    drawn = {seed: mean_clicks(response, pool, seed=seed, n_starts=5)[3] for seed in range(6)}
    assert len(set(drawn.values())) > 1
    assert mean_clicks(response, pool, seed=3, n_starts=5)[3] == drawn[3]
