import math

import pytest
import torch

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.response.constant import ConstantResponse


def observation(rows):
    return Observation(
        torch.zeros((rows, 1), dtype=torch.int64),
        torch.zeros((rows, 0)),
        torch.zeros((rows, 4), dtype=torch.int64),
        torch.zeros(rows, dtype=torch.int64),
    )


def test_every_item_is_answered_alike():
    model = ConstantResponse(0.75, n_items=3, history_size=4).freeze()
    slates = torch.tensor([[1, 3], [2, 1]])
    log_odds = model.logits(*observation(2)[:3], slates)
    assert log_odds.flatten().tolist() == pytest.approx([math.log(3.0)] * 4)
    assert model.probabilities(observation(2), slates).flatten().tolist() == pytest.approx(
        [0.75] * 4
    )


def test_padding_is_never_clicked():
    model = ConstantResponse(0.5, n_items=3, history_size=4)
    assert model.probabilities(observation(1), torch.tensor([[0, 1]])).tolist() == [[0.0, 0.5]]
    scores = model.scores_all(observation(2))
    assert scores.shape == (2, 4)
    assert torch.isneginf(scores[:, 0]).all()


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.2, float("nan")])
def test_certain_users_are_refused(probability):
    with pytest.raises(ValueError, match="probability"):
        ConstantResponse(probability, n_items=3, history_size=4)
