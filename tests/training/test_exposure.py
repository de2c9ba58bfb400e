import math

import pytest
import torch

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.slate_env import StepResult
from hsrl_pipeline.training.exposure import ExposureMeter


def result(reward, over, step, clicks):
    batch = len(reward)
    next_observation = Observation(
        torch.zeros(batch, 0, dtype=torch.int64),
        torch.zeros(batch, 0),
        torch.zeros(batch, 3, dtype=torch.int64),
        torch.tensor(step),
    )
    return StepResult(
        next_observation,
        next_observation,
        torch.tensor(reward),
        torch.tensor(clicks),
        torch.tensor([kind == "left" for kind in over]),
        torch.tensor([kind == "cut" for kind in over]),
        torch.tensor(clicks),
    )


def test_figures_by_hand():
    meter = ExposureMeter(2, 5, torch.device("cpu"))
    slates = torch.tensor([[1, 2], [1, 3]])
    meter.record(slates, result([0.5, 1.0], ["", ""], [1, 1], [[1.0, 0.0], [1.0, 1.0]]))
    meter.record(slates, result([0.5, -0.2], ["left", ""], [2, 2], [[1.0, 0.0], [0.0, 0.0]]))
    figures = meter.read()
    assert figures["train_reward"] == pytest.approx(1.0)
    assert figures["train_depth"] == pytest.approx(2.0)
    assert figures["step_reward"] == pytest.approx(1.8 / 4)
    assert figures["clicks_per_slot"] == pytest.approx(4 / 8)
    assert figures["coverage"] == 3
    entropy = 0.5 * math.log(2) + 2 * 0.25 * math.log(4)
    assert figures["effective_items"] == pytest.approx(math.exp(entropy))
    # the second session goes on: its reward so far is not lost by reading
    meter.record(slates, result([0.1, 0.2], ["", "cut"], [1, 3], [[0.0, 0.0], [0.0, 0.0]]))
    figures = meter.read()
    assert figures["train_reward"] == pytest.approx(1.0 - 0.2 + 0.2)
    assert figures["train_depth"] == pytest.approx(3.0)


def test_without_an_ended_session_there_is_no_session_reward():
    meter = ExposureMeter(1, 5, torch.device("cpu"))
    assert meter.read() == {}
    meter.record(torch.tensor([[1, 2]]), result([0.5], [""], [1], [[1.0, 0.0]]))
    assert "train_reward" not in meter.read()
