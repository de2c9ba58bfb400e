import math

import pytest
import torch

from hsrl_pipeline.losses.policy_gradient import (
    behavior_cloning_loss,
    level_entropies,
    policy_gradient_loss,
)


def test_policy_gradient_is_the_mean_over_slate_and_batch():
    log_prob = torch.tensor([[-1.0, -3.0], [-2.0, -2.0]])
    advantage = torch.tensor([0.5, -1.0])
    # rows: -0.5 * -2 = 1 and 1 * -2 = -2
    assert policy_gradient_loss(advantage, log_prob).item() == pytest.approx(-0.5)


def test_policy_gradient_raises_likely_what_was_better_than_expected():
    log_prob = torch.zeros(2, 3, requires_grad=True)
    policy_gradient_loss(torch.tensor([1.0, -1.0]), log_prob).backward()
    assert (log_prob.grad[0] < 0).all() and (log_prob.grad[1] > 0).all()


def test_entropies_of_levels_by_hand():
    uniform = torch.full((2, 4), math.log(0.25))
    peaked = torch.log(torch.tensor([[0.5, 0.25, 0.125, 0.125]] * 2))
    torch.testing.assert_close(
        level_entropies([uniform, peaked]), torch.tensor([math.log(4), 1.75 * math.log(2)])
    )


def test_impossible_codes_add_nothing_to_the_entropy():
    logits = torch.tensor([[0.0, 0.0, -torch.inf]], requires_grad=True)
    entropy = level_entropies([logits.log_softmax(-1)])
    entropy.sum().backward()
    assert entropy.item() == pytest.approx(math.log(2))
    assert logits.grad.isfinite().all()


def test_cloning_averages_over_clicked_items_and_is_zero_without_clicks():
    log_prob = torch.tensor([[-1.0, -2.0, -4.0], [-9.0, -9.0, -9.0]])
    clicks = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    assert behavior_cloning_loss(log_prob, clicks).item() == pytest.approx(2.5 / 2)
    assert behavior_cloning_loss(log_prob, torch.zeros(2, 3)).item() == 0.0


def test_cloning_gives_no_gradient_to_items_without_click():
    log_prob = torch.zeros(1, 3, requires_grad=True)
    behavior_cloning_loss(log_prob, torch.tensor([[0.0, 1.0, 0.0]])).backward()
    assert log_prob.grad.tolist() == [[0.0, -1.0, 0.0]]


def test_cloning_leaves_out_items_the_policy_cannot_recommend():
    log_prob = torch.tensor([[-1.0, -torch.inf], [-torch.inf, -2.0]], requires_grad=True)
    counted = torch.tensor([[True, False], [False, True]])
    loss = behavior_cloning_loss(log_prob, torch.tensor([[1.0, 1.0], [1.0, 0.0]]), counted)
    loss.backward()
    assert loss.item() == pytest.approx(0.5)
    assert log_prob.grad.tolist() == [[-0.5, 0.0], [0.0, 0.0]]
