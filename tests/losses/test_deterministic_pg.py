from __future__ import annotations

import math

import pytest
import torch

from hsrl_pipeline.losses.deterministic_pg import (
    critics_loss,
    deterministic_policy_loss,
    noisy_action,
)


def test_the_critics_loss_is_the_sum_of_their_mean_squared_errors() -> None:
    values = torch.tensor([[1.0, 2.0], [0.0, 4.0]])
    target = torch.tensor([0.0, 2.0])
    # first critic (1 + 0) / 2, second (0 + 4) / 2
    assert critics_loss(values, target).item() == pytest.approx(2.5)


def test_no_gradient_flows_into_the_target() -> None:
    values = torch.zeros(1, 2, requires_grad=True)
    target = torch.ones(2, requires_grad=True)
    critics_loss(values, target).backward()
    assert target.grad is None
    # d/dQ of mean (Q - 1)^2 over two rows
    assert torch.equal(values.grad, torch.tensor([[-1.0, -1.0]]))


def test_the_policy_loss_ascends_the_value() -> None:
    action = torch.tensor([[0.5], [1.5]], requires_grad=True)
    values = -(action[:, 0] - 1.0).square()
    loss = deterministic_policy_loss(values)
    assert loss.item() == pytest.approx(0.25)
    loss.backward()
    assert action.grad[:, 0].tolist() == pytest.approx([-0.5, 0.5])


def test_noise_is_clipped_scaled_and_seeded() -> None:
    action = torch.zeros(4000, 2)

    def draw(std: float, clip: float) -> torch.Tensor:
        return noisy_action(
            action, noise_std=std, noise_clip=clip, generator=torch.Generator().manual_seed(1)
        )

    assert float(draw(0.2, 0.3).abs().max()) == pytest.approx(0.3)
    assert float(draw(0.2, math.inf).std()) == pytest.approx(0.2, rel=0.05)
    assert torch.equal(draw(0.2, 0.3), draw(0.2, 0.3))
    assert draw(0.0, 0.3) is action


@pytest.mark.parametrize(
    ("values", "target"), [((2,), (2,)), ((1, 3), (2,)), ((1, 2), (2, 1)), ((1, 2), ())]
)
def test_shapes_that_do_not_fit_are_refused(values: tuple, target: tuple) -> None:
    with pytest.raises((ValueError, IndexError)):
        critics_loss(torch.zeros(values), torch.zeros(target))
