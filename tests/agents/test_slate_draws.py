"""Draws without replacement: frequencies of ordered draws, and rows that end in the other way."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch

from hsrl_pipeline.agents import slate_draws
from hsrl_pipeline.agents.slate_draws import draw_without_replacement

N_DRAWS = 40_000


def expected_shares(logits: list[float], n: int) -> dict[tuple[int, ...], float]:
    """Plackett-Luce probabilities of all ordered draws."""
    weights = torch.tensor(logits).softmax(0).double().tolist()
    shares = {}
    for places in itertools.permutations(range(len(logits)), n):
        share, left = 1.0, 1.0
        for place in places:
            share *= weights[place] / left
            left -= weights[place]
        shares[places] = share
    return shares


@pytest.mark.parametrize("draws_per_place", [1, 4])
@pytest.mark.parametrize("logits", [[0.0, 1.0, -1.0, 0.5], [3.0, 0.0, 1.0, -1.0]])
def test_ordered_draws_come_as_often_as_they_should(
    monkeypatch: pytest.MonkeyPatch, logits: list[float], draws_per_place: int
) -> None:
    # with one draw per place, most rows need items beyond the repeated ones
    monkeypatch.setattr(slate_draws, "DRAWS_PER_PLACE", draws_per_place)
    generator = torch.Generator().manual_seed(0)
    rows = torch.tensor(logits).repeat(N_DRAWS, 1)
    counts = Counter(map(tuple, draw_without_replacement(rows, 3, generator).tolist()))
    statistic = 0.0
    for places, share in expected_shares(logits, 3).items():
        statistic += (counts.pop(places, 0) - N_DRAWS * share) ** 2 / (N_DRAWS * share)
    assert not counts
    # chi-squared with 23 degrees of freedom exceeds this once in 10,000
    assert statistic < 57.0


def test_what_may_not_be_drawn_is_not_drawn_and_nothing_is_drawn_twice() -> None:
    logits = torch.randn(200, 30, generator=torch.Generator().manual_seed(0)) * 30.0
    logits[:, ::3] = -torch.inf
    drawn = draw_without_replacement(logits, 20, torch.Generator().manual_seed(1))
    assert all(len(set(row)) == 20 for row in drawn.tolist())
    assert (drawn % 3 > 0).all()


def test_equal_seeds_give_equal_draws_and_the_caller_notices_what_is_no_number() -> None:
    logits = torch.randn(5, 30, generator=torch.Generator().manual_seed(0))
    first, second = (
        draw_without_replacement(logits, 4, torch.Generator().manual_seed(3)) for _ in "ab"
    )
    assert torch.equal(first, second)
    assert draw_without_replacement(torch.full((2, 5), torch.nan), 3).shape == (2, 3)
