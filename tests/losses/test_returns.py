import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hsrl_pipeline.losses.returns import clipped_advantage, td_target


def test_target_counts_the_successor_only_for_users_who_stay():
    reward = torch.tensor([0.5, 0.5, -0.2])
    terminated = torch.tensor([False, True, False])
    value = torch.tensor([2.0, 2.0, 1.0])
    # a truncated session is simply not terminated: row 2 still bootstraps
    expected = torch.tensor([0.5 + 0.9 * 2.0, 0.5, -0.2 + 0.9])
    torch.testing.assert_close(td_target(reward, terminated, value, 0.9), expected)


def test_target_ignores_a_value_that_is_not_a_number_after_the_end():
    target = td_target(torch.ones(1), torch.tensor([True]), torch.tensor([torch.nan]), 0.9)
    assert target.item() == 1.0


def test_target_and_advantage_carry_no_gradient():
    value = torch.ones(2, requires_grad=True)
    target = td_target(torch.ones(2), torch.zeros(2, dtype=torch.bool), value, 0.5)
    assert not target.requires_grad
    assert not clipped_advantage(target, value, 1.0).requires_grad


@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(0.1, 3))
def test_advantage_stays_within_its_bound(target, value, bound):
    advantage = clipped_advantage(torch.tensor([target]), torch.tensor([value]), bound)
    assert abs(advantage.item()) <= bound + 1e-6
    assert advantage.item() * (target - value) >= 0


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="terminated"):
        td_target(torch.ones(2), torch.zeros(3, dtype=torch.bool), torch.ones(2), 0.9)
    with pytest.raises(ValueError, match="value"):
        clipped_advantage(torch.ones(2), torch.ones(2, 1), 1.0)
