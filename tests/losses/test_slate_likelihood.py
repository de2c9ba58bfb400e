import math

import pytest
import torch

from hsrl_pipeline.losses.slate_likelihood import (
    group_click_advantage,
    own_click_advantage,
    slate_credit_loss,
    slate_log_prob,
)


def test_positions_share_what_earlier_ones_left():
    log_prob = torch.tensor([[0.5, 0.3, 0.1]]).log()
    expected = torch.tensor([[0.5, 0.3 / 0.5, 0.1 / 0.2]]).log()
    torch.testing.assert_close(slate_log_prob(log_prob), expected)
    excluded = torch.tensor([0.1])
    expected = torch.tensor([[0.5 / 0.9, 0.3 / 0.4, 0.1 / 0.1]]).log()
    torch.testing.assert_close(slate_log_prob(log_prob, excluded), expected, atol=1e-5, rtol=1e-4)


def test_all_ordered_slates_together_have_probability_one():
    probs = [0.5, 0.25, 0.15, 0.1]
    total = sum(
        math.exp(slate_log_prob(torch.tensor([[probs[i], probs[j]]]).log()).sum())
        for i in range(4)
        for j in range(4)
        if i != j
    )
    assert abs(total - 1.0) < 1e-5


def test_positions_after_certain_items_are_finite_and_push_nothing():
    log_prob = torch.tensor([[-1e-8, -20.0]], requires_grad=True)
    value = slate_log_prob(log_prob)
    value.sum().backward()
    assert value.isfinite().all()
    assert log_prob.grad.tolist() == [[1.0, 0.0]]


def test_own_click_is_compared_with_the_rest_of_the_slate():
    clicks = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    expected = torch.tensor([[1.0, -0.5, -0.5], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(own_click_advantage(clicks), expected)


def test_the_click_of_a_slate_of_one_item_is_compared_with_the_other_slates():
    clicks = torch.tensor([[1.0], [0.0], [1.0]])
    expected = torch.tensor([[0.5], [-1.0], [0.5]])
    torch.testing.assert_close(own_click_advantage(clicks), expected)
    # what everybody clicks is no credit to any item
    assert own_click_advantage(torch.ones(4, 1)).tolist() == [[0.0]] * 4
    assert own_click_advantage(torch.ones(1, 1)).tolist() == [[0.0]]


def test_items_of_a_group_are_compared_with_those_of_its_other_slates():
    # two states; three slates of two items each
    clicks = torch.tensor(
        [[[0.5, 0.25], [1.0, 1.0]], [[0.75, 0.25], [0.0, 0.0]], [[0.0, 1.0], [0.5, 0.0]]]
    )
    # means of the other slates: (0.5, 0.125), (0.4375, 0.625), (0.4375, 0.5)
    expected = torch.tensor(
        [
            [[0.0, -0.25], [0.875, 0.875]],
            [[0.3125, -0.1875], [-0.625, -0.625]],
            [[-0.4375, 0.5625], [0.0, -0.5]],
        ]
    )
    torch.testing.assert_close(group_click_advantage(clicks), expected)


def test_slates_of_one_item_are_compared_with_the_rest_of_their_group():
    clicks = torch.tensor([[[0.9], [0.2]], [[0.1], [0.2]], [[0.3], [0.8]]])
    expected = torch.tensor([[[0.7], [-0.3]], [[-0.5], [-0.3]], [[-0.2], [0.6]]])
    torch.testing.assert_close(group_click_advantage(clicks), expected)


def test_a_group_of_one_slate_has_nothing_to_compare_with():
    with pytest.raises(ValueError, match="at least two slates"):
        group_click_advantage(torch.ones(1, 4, 2))


LOG_PROB = torch.tensor([[-1.0, -2.0], [-3.0, -0.5]])


@pytest.mark.parametrize(
    ("item_credit", "slate_credit_coef", "expected"),
    [
        # advantages 2 and -1 on sums of -3 and -3.5; own clicks: 1 and -1, then -0.5 and 0.5
        (False, 1.0, (6.0 - 3.5) / 4),
        (True, 0.0, (-1.0 - 1.25) / 4),
        (True, 0.5, ((6.0 - 3.5) / 2 - 1.0 - 1.25) / 4),
    ],
)
def test_credit_of_slates_and_items_by_hand(item_credit, slate_credit_coef, expected):
    loss = slate_credit_loss(
        LOG_PROB,
        torch.tensor([[1.0, 0.0], [0.0, 0.5]]),
        torch.tensor([2.0, -1.0]),
        slate_credit_coef=slate_credit_coef,
        item_credit=item_credit,
    )
    assert loss.item() == pytest.approx(expected)


def test_the_slates_shown_alone_have_the_credit_of_a_slate_in_a_group():
    # one state, two slates: the first was shown
    loss = slate_credit_loss(
        LOG_PROB,
        torch.tensor([[1.0, 0.0], [0.0, 0.5]]),
        torch.tensor([2.0]),
        slate_credit_coef=0.5,
        item_credit=True,
    )
    # clicks of the other slate: 0.25 and 0.5 in the mean
    items = -(0.75 * -1.0 - 0.25 * -2.0 - 0.5 * -3.0 + 0.0 * -0.5) / 4
    assert loss.item() == pytest.approx(items + 3.0 / 2)
