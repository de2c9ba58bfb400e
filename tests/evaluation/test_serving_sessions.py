"""What a policy serves between two changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsrl_pipeline.agents.base import Action
from hsrl_pipeline.catalogue import LiveCatalogue
from hsrl_pipeline.evaluation import serving_sessions
from hsrl_pipeline.evaluation.serving_sessions import ServingSessions

from .conftest import N_ITEMS, SLATE, TableResponse, make_pool, make_setting, taste_table

LIVE = [2, 3, 5, 7, 8, 9]


class Listener:
    """Draws live items and remembers what became of them."""

    name = "listener"
    follows_clicks = True

    def __init__(self):
        self.seen = []

    def act(self, observation, *, explore, generator=None):
        assert explore
        scores = torch.rand(observation.batch_size, len(LIVE), generator=generator)
        slates = torch.tensor(LIVE)[scores.topk(SLATE).indices]
        return Action(slates, torch.zeros(len(slates), 0), torch.zeros(len(slates)))

    def observe(self, observation, slates, clicks):
        self.seen.append((observation, slates, clicks))


def serve(n_slates: int, change: int = 1, seed: int = 0) -> Listener:
    catalogue = LiveCatalogue(
        np.isin(np.arange(N_ITEMS + 1), LIVE),
        np.zeros((N_ITEMS + 1, 2), np.float32),
        np.where(np.arange(N_ITEMS + 1)[:, None] > 0, 0, -1),
    )
    served = ServingSessions(
        TableResponse(taste_table() * 50.0),
        make_pool(),
        make_setting().sessions,
        n_slates=n_slates,
        seed=seed,
    )
    listener = Listener()
    served.serve(listener, catalogue, change)
    return listener


@pytest.mark.parametrize(
    ("n_slates", "steps", "batch"), [(5, 1, 5), (8, 1, 8), (9, 2, 8), (24, 3, 8)]
)
def test_as_many_slates_are_served_as_asked_for(
    n_slates: int, steps: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_sessions, "SERVED_AT_ONCE", 8)
    seen = serve(n_slates).seen
    assert [len(slates) for _, slates, _ in seen] == [batch] * steps


def test_clicks_are_those_of_the_users_that_were_observed() -> None:
    """Users of category 1 like items 1 to 6, those of category 2 the others."""
    for observation, slates, clicks in serve(600).seen:
        likes_first = observation.user_categories == 1
        assert torch.equal(clicks > 0, torch.where(likes_first, slates <= 7, slates >= 6))


def test_seed_and_change_decide_what_is_served() -> None:
    first, again = serve(300), serve(300)
    others = serve(300, change=2), serve(300, seed=1)
    for one, same in zip(first.seen, again.seen, strict=True):
        assert torch.equal(one[1], same[1]) and torch.equal(one[2], same[2])
    assert not any(torch.equal(first.seen[0][1], other.seen[0][1]) for other in others)
