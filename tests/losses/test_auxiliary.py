from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal

from hsrl_pipeline.losses.auxiliary import (
    alignment_loss,
    gaussian_entropy,
    gaussian_log_prob,
    pooled_items,
    representation_loss,
)


def test_a_slate_stands_for_the_mean_of_its_items_without_padding() -> None:
    table = torch.tensor([[100.0, 100.0], [1.0, 0.0], [0.0, 3.0], [5.0, 6.0]])
    slates = torch.tensor([[1, 2, 3], [2, 0, 0], [0, 0, 0]])
    expected = torch.tensor([[2.0, 3.0], [0.0, 3.0], [0.0, 0.0]])
    assert torch.allclose(pooled_items(table, slates), expected)


def test_alignment_moves_the_actor_and_not_the_items() -> None:
    hyper_action = torch.tensor([[1.0, 2.0], [0.0, 0.0]], requires_grad=True)
    recovered = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    loss = alignment_loss(hyper_action, recovered)
    assert loss.item() == pytest.approx((5.0 + 25.0) / 2)
    loss.backward()
    assert recovered.grad is None
    assert torch.equal(hyper_action.grad, torch.tensor([[1.0, 2.0], [-3.0, -4.0]]))


def test_representations_are_fitted_to_clicked_items_alone() -> None:
    log_prob = torch.log(torch.tensor([[0.5, 0.1], [0.25, 0.1]]))
    clicks = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    loss = representation_loss(log_prob, clicks)
    assert loss.item() == pytest.approx((math.log(2.0) + math.log(4.0)) / 2)
    assert representation_loss(log_prob, torch.zeros(2, 2)).item() == 0.0


def test_gaussian_terms_are_those_of_torch() -> None:
    mean, std = torch.randn(5, 3), torch.rand(5, 3) + 0.1
    sample = torch.randn(5, 3)
    reference = Normal(mean, std)
    assert torch.allclose(gaussian_log_prob(sample, mean, std), reference.log_prob(sample))
    assert torch.allclose(gaussian_entropy(std), reference.entropy())


@pytest.mark.parametrize("function", [alignment_loss, representation_loss])
def test_shapes_that_do_not_fit_are_refused(function) -> None:
    with pytest.raises(ValueError, match="expected"):
        function(torch.zeros(2, 3), torch.zeros(3, 2))
