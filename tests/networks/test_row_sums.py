"""Sums of rows of a table, and sums into its rows."""

from __future__ import annotations

import torch

from hsrl_pipeline.networks.row_sums import add_rows, sum_rows


def test_rows_are_summed_over_levels_and_row_0_learns_nothing() -> None:
    table = torch.tensor([[0.0, 0.0], [1.0, 10.0], [2.0, 20.0]], requires_grad=True)
    sums = sum_rows(table, torch.tensor([[1, 2], [0, 2], [2, 2]]))
    assert sums.tolist() == [[3.0, 30.0], [2.0, 20.0], [4.0, 40.0]]
    (sums * torch.tensor([[1.0], [10.0], [100.0]])).sum().backward()
    assert table.grad is not None
    assert table.grad.tolist() == [[0.0, 0.0], [1.0, 1.0], [211.0, 211.0]]


def test_the_gradient_is_that_of_looking_up_each_level() -> None:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    table[0] = 0.0
    table.requires_grad_()
    rows = torch.randint(0, 5, (2, 4, 3), generator=generator)
    weight = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    (found,) = torch.autograd.grad((sum_rows(table, rows) * weight).sum(), table)
    looked_up = torch.nn.functional.embedding(rows, table, padding_idx=0).sum(-2)
    (expected,) = torch.autograd.grad((looked_up * weight).sum(), table)
    torch.testing.assert_close(found, expected)


def test_values_are_added_to_their_rows() -> None:
    total = torch.tensor([[1.0], [2.0], [3.0]])
    add_rows(total, torch.tensor([2, 0, 2]), torch.tensor([[10.0], [20.0], [30.0]]))
    assert total.tolist() == [[21.0], [2.0], [43.0]]
