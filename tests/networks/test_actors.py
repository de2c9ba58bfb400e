from __future__ import annotations

import pytest
import torch

from hsrl_pipeline.networks.actors import (
    DirectionActor,
    GaussianActor,
    HyperActor,
    ItemActor,
    ItemBias,
    ItemSpace,
    LatentActor,
    scale_to_sphere,
)
from hsrl_pipeline.networks.item_representation import ItemRepresentation
from hsrl_pipeline.networks.state_encoder import StateEncoder
from hsrl_pipeline.observation import Observation


def make_encoder() -> StateEncoder:
    torch.manual_seed(0)
    return StateEncoder(ItemRepresentation(5, 4, None), 3, n_layers=1, n_heads=2)


def observe() -> Observation:
    history = torch.tensor([[0, 1, 2], [0, 0, 0]])
    return Observation(torch.zeros(2, 0).long(), torch.zeros(2, 0), history, torch.zeros(2).long())


def test_slate_scores_are_the_catalogue_scores_of_its_items() -> None:
    actor = ItemActor(make_encoder())
    torch.nn.init.normal_(actor.item_bias)
    states = actor.encoder(observe())
    slates = torch.tensor([[3, 5], [1, 2]])
    picked = actor.score_all(states).gather(1, slates)
    assert torch.allclose(actor.score_slates(states, slates), picked, atol=1e-6)
    assert torch.equal(actor(observe()), actor.score_all(states))


def test_directions_have_one_length_and_points_stay_in_the_box() -> None:
    states = 50.0 * torch.randn(20, 4)
    assert torch.allclose(DirectionActor(4, 8, 9)(states).norm(dim=-1), torch.tensor(3.0))
    assert float(LatentActor(4, 8, 9)(states).detach().abs().max()) <= 1.0
    assert torch.equal(scale_to_sphere(torch.zeros(1, 2)), torch.zeros(1, 2))


def test_the_gaussian_starts_with_the_given_spread() -> None:
    mean, std = GaussianActor(4, 8, 3, 0.25)(torch.randn(6, 4))
    assert mean.shape == std.shape == (6, 3)
    assert torch.allclose(std, torch.tensor(0.25))


def test_the_item_space_keeps_dot_products_of_vectors_that_fit() -> None:
    basis = torch.linalg.qr(torch.randn(6, 6))[0][:2]
    vectors = torch.cat([torch.zeros(1, 6), torch.randn(8, 2) @ basis])
    space = ItemSpace(vectors, 2)
    ratio = vectors[1:].norm(dim=-1).mean().square()
    expected = vectors @ vectors.t() / ratio
    assert torch.allclose(space.table @ space.table.t(), expected, atol=1e-5)
    assert torch.equal(space.table[0], torch.zeros(2))
    assert torch.equal(space(torch.tensor([3])), space.table[3:4])


def test_the_item_space_is_made_of_tables_and_no_part_of_a_state() -> None:
    assert not ItemSpace(torch.randn(9, 3), 2).state_dict()


def test_the_item_space_is_no_wider_than_its_vectors() -> None:
    assert ItemSpace(torch.randn(9, 3), 32).latent_size == 3


def test_a_hyper_action_ranks_items_by_dot_product() -> None:
    space = ItemSpace(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]]), 2)
    actor = HyperActor(make_encoder(), DirectionActor(4, 8, 2), space)
    latent = torch.randn(3, 2)
    scores = actor.score_all(latent)
    assert torch.allclose(scores, latent @ space.table.t())
    slates = torch.tensor([[1, 2], [2, 1], [1, 1]])
    assert torch.allclose(actor.click_logits(latent, slates), scores.gather(1, slates))


def test_slates_of_another_batch_are_refused() -> None:
    actor = ItemActor(make_encoder())
    with pytest.raises(ValueError, match="slates"):
        actor.score_slates(torch.zeros(2, 4), torch.ones(3, 2).long())


def test_the_bias_of_an_item_enters_every_score_and_the_level_click_log_odds_alone() -> None:
    torch.manual_seed(0)
    bias = ItemBias(6)
    space = ItemSpace(torch.randn(7, 3), 2)
    plain, biased = (
        HyperActor(make_encoder(), DirectionActor(4, 8, 2), space, part) for part in (None, bias)
    )
    with torch.no_grad():
        bias.values.copy_(torch.arange(7.0))
        bias.level.fill_(-3.0)
    latent, slates = torch.randn(2, 2), torch.tensor([[1, 5], [6, 2]])
    added = biased.score_all(latent) - plain.score_all(latent)
    torch.testing.assert_close(added, torch.arange(7.0).expand(2, -1))
    added = biased.click_logits(latent, slates) - plain.click_logits(latent, slates)
    torch.testing.assert_close(added, slates - 3.0)
