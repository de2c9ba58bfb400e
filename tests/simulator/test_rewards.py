import pytest
import torch

from hsrl_pipeline.simulator.rewards import slate_reward


def test_reward_is_the_mean_of_click_minus_penalty():
    clicks = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    # (2 - 0.2 * 2) / 4, -0.2 and 1
    assert slate_reward(clicks, 0.2).tolist() == pytest.approx([0.4, -0.2, 1.0], abs=1e-15)


def test_reward_is_double_precision_for_any_click_dtype():
    clicks = torch.tensor([[True, False, False]])
    for dtype in (torch.bool, torch.int64, torch.float32):
        reward = slate_reward(clicks.to(dtype), 0.1)
        assert reward.dtype == torch.float64
        assert float(reward[0]) == pytest.approx((1 - 0.2) / 3, abs=1e-15)


def test_sweet_point_folds_the_reward_at_its_peak():
    clicks = torch.zeros(10, 9)
    for count in range(10):
        clicks[count, :count] = 1.0
    reward = slate_reward(clicks, 0.1, sweet_point=0.9)
    # 8 of 9: r = (8 - 0.1) / 9 = 0.87778, folded 1 - 0.02222; 9 of 9: 1 - 0.1; none: 1 - 1.0
    assert float(reward[8]) == pytest.approx(1 - (0.9 - 7.9 / 9), abs=1e-15)
    assert float(reward[9]) == pytest.approx(0.9)
    assert float(reward[0]) == pytest.approx(0.0, abs=1e-15)
    assert int(reward.argmax()) == 8
