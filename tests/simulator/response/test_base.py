import pytest
import torch

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.response.base import UserResponseModel


class Fixed(UserResponseModel):
    """Log-odds equal to the item index; dropout to see which mode the model is in."""

    def __init__(self):
        super().__init__()
        self.n_items, self.history_size = 3, 2
        self.weight = torch.nn.Parameter(torch.ones(()))

    def logits(self, user_categories, user_dense, history, slates):
        return slates * self.weight

    def scores_all(self, observation):
        return torch.arange(4.0).expand(observation.batch_size, -1)


def test_probabilities_are_one_sigmoid_of_the_log_odds():
    observation = Observation(
        torch.zeros((1, 0), dtype=torch.int64),
        torch.zeros((1, 0)),
        torch.zeros((1, 2), dtype=torch.int64),
        torch.zeros(1, dtype=torch.int64),
    )
    answers = Fixed().probabilities(observation, torch.tensor([[1, 3]]))
    assert answers[0].tolist() == pytest.approx([0.7310586, 0.9525741])


def test_freezing_stops_training_for_good():
    model = Fixed().train().freeze()
    assert not model.training
    assert not model.weight.requires_grad


def test_the_base_cannot_answer():
    with pytest.raises(TypeError, match="abstract"):
        UserResponseModel()
