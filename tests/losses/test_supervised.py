from __future__ import annotations

import math

import pytest
import torch

from hsrl_pipeline.losses.supervised import click_loss, sampled_negative_loss


def test_the_loss_takes_raw_logits() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)]])
    clicks = torch.tensor([[1.0, 0.0]])
    # p = 1/2 clicked, p = 3/4 not clicked
    expected = (math.log(2.0) + math.log(4.0)) / 2
    assert click_loss(logits, clicks, torch.tensor([[5, 6]])).item() == pytest.approx(expected)


def test_padded_positions_neither_count_nor_receive_gradient() -> None:
    logits = torch.tensor([[0.0, 9.0], [0.0, 0.0]], requires_grad=True)
    slates = torch.tensor([[1, 0], [2, 3]])
    loss = click_loss(logits, torch.zeros(2, 2), slates)
    assert loss.item() == pytest.approx(math.log(2.0))
    loss.backward()
    assert logits.grad[0, 1].item() == 0.0
    assert logits.grad[0, 0].item() == pytest.approx(0.5 / 3)


def test_nothing_but_padding_costs_nothing() -> None:
    assert click_loss(torch.ones(2, 2), torch.zeros(2, 2), torch.zeros(2, 2).long()).item() == 0.0


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (2,)])
def test_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="clicks"):
        click_loss(torch.zeros(2, 2), torch.zeros(shape), torch.ones(2, 2).long())


def test_a_random_item_counts_as_one_slot_without_click() -> None:
    # -log(1 - 3/4) and -log(1 - 1/2), each one of the ten slots of its slate
    logits = torch.tensor([math.log(3.0), 0.0])
    expected = (math.log(4.0) + math.log(2.0)) / 2 / 10
    assert sampled_negative_loss(logits, 10).item() == pytest.approx(expected)
