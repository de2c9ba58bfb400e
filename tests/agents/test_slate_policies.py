"""Slates from one softmax over the catalogue: likelihoods by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hsrl_pipeline.agents.slate_policies import CatalogueSlates, SlateLikelihood
from hsrl_pipeline.agents.slate_selection import SlateSelector
from hsrl_pipeline.observation import Observation

WEIGHTS = [0.0, 1.0, 2.0, 3.0, 0.0, 6.0]
"""Of padding and of items 1 to 5, in the softmax; 4 has no semantic ID."""
STATE = torch.zeros(1, 2)


class FixedScores:
    has_code = torch.tensor(WEIGHTS) > 0.0

    def __call__(self, state: torch.Tensor) -> torch.Tensor:
        return torch.tensor(WEIGHTS).log().expand(len(state), -1)

    def optimism(self) -> None:
        """Nothing is added for what was hardly shown."""


def likelihood(slate: list[int], shown: int, shelves: np.ndarray | None = None) -> SlateLikelihood:
    empty = torch.zeros(1, 0)
    observation = Observation(
        empty.long(), empty, empty.long(), torch.zeros(1).long(), torch.tensor([[shown]])
    )
    slates = CatalogueSlates(FixedScores(), SlateSelector(5, 2, shelves))
    return slates.likelihood(STATE, observation, torch.tensor([slate]))


@pytest.mark.parametrize(
    ("slate", "shown", "items", "positions"),
    [
        # all of weight 12
        ([5, 1], 0, [6 / 12, 1 / 12], [6 / 12, 1 / 6]),
        # item 5 has gone from 12; where it could not be drawn it counts as certain
        ([2, 5], 5, [2 / 6, 1], [2 / 6, 1]),
        ([5, 2], 5, [1, 2 / 6], [1, 2 / 6]),
        ([4, 3], 0, [1, 3 / 12], [1, 3 / 12]),
    ],
)
def test_likelihood_by_hand(
    slate: list[int], shown: int, items: list[float], positions: list[float]
) -> None:
    found = likelihood(slate, shown)
    torch.testing.assert_close(found.items.exp(), torch.tensor([items]))
    torch.testing.assert_close(found.positions.exp(), torch.tensor([positions]))
    # what was shown before may still be clicked by the log odds of its score
    scores = [math.log(WEIGHTS[item]) if WEIGHTS[item] else 0.0 for item in slate]
    torch.testing.assert_close(found.click_scores, torch.tensor([scores]))


def test_entropy_is_that_of_what_may_be_shown() -> None:
    shares = torch.tensor([1.0, 2.0, 3.0]) / 6
    expected = -(shares * shares.log()).sum()
    torch.testing.assert_close(likelihood([1, 2], 5).entropy[0], expected)


def test_entropy_is_the_mean_over_shelves() -> None:
    shelves = np.array([0, 1, 1, 2, 2, 2])
    shares = (torch.tensor([1.0, 2.0]) / 3, torch.tensor([3.0, 6.0]) / 9)
    expected = -sum((share * share.log()).sum() for share in shares) / 2
    torch.testing.assert_close(likelihood([1, 5], 0, shelves).entropy[0], expected)
