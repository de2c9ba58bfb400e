"""Scores that serving asks for are those that greedy slates are made by."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsrl_pipeline.seeding import torch_generator
from hsrl_pipeline.shapes import PAD_ID

from .test_conformance import N_ITEMS, SLATE, observe
from .test_live_catalogue import AFTER, CHANGED, RELEASED, VARIANTS, at_launch


@pytest.mark.parametrize("variant", VARIANTS)
def test_best_items_begin_with_the_greedy_slate(variant: str) -> None:
    agent = at_launch(variant)
    agent.set_catalogue(CHANGED)
    observation = observe(50, torch_generator(2, "acting"), shown=2)
    greedy = agent.act(observation, explore=False).slates
    items, scores = agent.best_items(observation, SLATE + 3)
    assert torch.equal(items[:, :SLATE], greedy)
    assert (scores[:, :-1] >= scores[:, 1:]).all()
    expected = agent.scores_of(observation, items)
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)
    assert np.isin(items.numpy(), AFTER).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_of_given_items_are_those_of_all(variant: str) -> None:
    agent = at_launch(variant)
    agent.set_catalogue(CHANGED)
    observation = observe(20, torch_generator(2, "acting"))
    items = torch.tensor(AFTER).expand(20, -1)
    everything = agent.item_scores(observation)
    assert everything.shape == (20, N_ITEMS + 1)
    given = agent.scores_of(observation, items)
    torch.testing.assert_close(given, everything.gather(1, items), rtol=1e-4, atol=1e-5)
    assert not everything.requires_grad and not given.requires_grad


@pytest.mark.parametrize("variant", VARIANTS)
def test_more_items_than_there_are_end_in_padding(variant: str) -> None:
    agent = at_launch(variant)
    agent.set_catalogue(CHANGED)
    items, scores = agent.best_items(observe(5, torch_generator(2, "acting")), N_ITEMS)
    assert ((items != PAD_ID).sum(1) == len(AFTER)).all()
    assert not np.isin(items.numpy(), RELEASED).any()
    assert (scores[items == PAD_ID] == -torch.inf).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_preparing_to_serve_changes_no_best_items(variant: str) -> None:
    agent = at_launch(variant, 1)
    observation = observe(20, torch_generator(2, "acting"), shown=2)
    items, scores = agent.best_items(observation, SLATE)
    agent.prepare_to_serve()
    again, quickly = agent.best_items(observation, SLATE)
    assert torch.equal(items, again)
    torch.testing.assert_close(scores, quickly, rtol=1e-4, atol=1e-5)
