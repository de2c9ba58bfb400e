import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hsrl_pipeline.losses.returns import (
    clipped_advantage,
    lambda_return,
    level_targets,
    td_target,
)


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


# three steps of four sessions: one goes on, one terminates and one is cut off at the second step,
# one terminates at the first
REWARD = torch.tensor([[0.5, 0.5, 0.5, -0.2], [0.2, 0.2, 0.2, 1.0], [1.0, 1.0, 1.0, 1.0]])
VALUE = torch.tensor([[2.0, 2.0, 2.0, 2.0], [3.0, 3.0, 3.0, 3.0], [4.0, 4.0, 4.0, 4.0]])
TERMINATED = torch.tensor([[0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
TRUNCATED = torch.tensor([[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=torch.bool)


def returns_of(decay, steps=3, value=VALUE):
    rows = slice(0, steps)
    targets = torch.stack(
        [td_target(*row, 0.5) for row in zip(REWARD, TERMINATED, value, strict=True)]
    )
    over = TERMINATED | TRUNCATED
    return lambda_return(REWARD[rows], targets[rows], over[rows], 0.5, decay)


def test_the_return_over_all_steps_ends_with_the_session():
    # 0.5 + 0.5 (0.2 + 0.5 (1.0 + 0.5 4.0)); left after 0.2; cut off there, worth 3.0; left at once
    expected = [1.35, 0.5 + 0.5 * 0.2, 0.5 + 0.5 * (0.2 + 0.5 * 3.0), -0.2]
    torch.testing.assert_close(returns_of(1.0), torch.tensor(expected))


def test_the_lambda_return_weighs_the_returns_over_one_two_and_three_steps():
    one, two, three = 0.5 + 0.5 * 2.0, 0.5 + 0.5 * (0.2 + 0.5 * 3.0), 1.35
    mixed = 0.75 * one + 0.25 * (0.75 * two + 0.25 * three)
    left = 0.75 * one + 0.25 * (0.5 + 0.5 * 0.2)
    expected = [mixed, left, 0.75 * one + 0.25 * two, -0.2]
    torch.testing.assert_close(returns_of(0.25), torch.tensor(expected))


def test_one_step_and_no_decay_are_the_one_step_target_to_the_bit():
    target = td_target(REWARD[0], TERMINATED[0], VALUE[0], 0.5)
    assert torch.equal(returns_of(1.0, steps=1), target)
    assert torch.equal(returns_of(0.0), target)
    # and the last step's target is all that decay 1 takes of values
    other = VALUE.clone()
    other[0] = 99.0
    assert torch.equal(returns_of(1.0, value=other), returns_of(1.0))


def test_nothing_of_the_next_session_gets_into_a_return():
    value = VALUE.clone()
    value[2, 1:3] = torch.nan
    value[1:, 3] = torch.nan
    found = returns_of(0.5, value=value)
    assert torch.equal(found, returns_of(0.5))


def test_levels_are_measured_by_the_values_after_them():
    values = torch.tensor([[1.0], [2.0], [4.0]], requires_grad=True)
    target = torch.tensor([10.0])
    # V_3 is the target: T_3 = 10, T_2 = 4 + (10 - 4) / 4 = 5.5, T_1 = 2 + (5.5 - 2) / 4 = 2.875
    found = level_targets(target, values, 0.25)
    torch.testing.assert_close(found, torch.tensor([[2.875], [5.5], [10.0]]))
    assert not found.requires_grad
    # advantages are decayed sums of what each level adds: 1 + 2 / 4 + 6 / 16, 2 + 6 / 4, 6
    torch.testing.assert_close(found - values.detach(), torch.tensor([[1.875], [3.5], [6.0]]))


def test_levels_without_decay_are_measured_by_the_target_to_the_bit():
    values = torch.tensor([[0.1, 0.7], [1.3, -3.0], [1e6, 1e-6]])
    target = torch.tensor([0.3, -0.9])
    assert torch.equal(level_targets(target, values, 1.0), target.expand(3, 2))
    assert torch.equal(level_targets(target, values, 0.0), torch.stack([*values[1:], target]))
    assert torch.equal(level_targets(target, values[:1], 0.0), target[None])
