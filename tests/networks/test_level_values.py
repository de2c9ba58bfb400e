import pytest
import torch

from hsrl_pipeline.networks.level_values import LevelValues


def test_every_context_has_a_perceptron_of_its_own():
    critic = LevelValues(2, 2, 3)
    with torch.no_grad():
        critic.hidden_weight.copy_(
            torch.tensor([[[1.0, 2, 0], [0, 1, -1]], [[0, 0, 1], [1, 1, 1]]])
        )
        critic.hidden_bias.copy_(torch.tensor([[[0.0, -1, 0]], [[1.0, 0, 0]]]))
        critic.value_weight.copy_(torch.tensor([[[1.0], [10], [100]], [[1.0], [1], [1]]]))
        critic.value_bias.copy_(torch.tensor([[[0.5]], [[-3.0]]]))
    values = critic.level_values([torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -2.0]])])
    # relu(1, 2 + 2 - 1, -2) = (1, 3, 0); relu(-2 + 1, -2, 3 - 2) = (0, 0, 1)
    assert values.tolist() == [[31.5], [-2.0]]


@pytest.mark.parametrize(
    ("contexts", "message"),
    [
        ([torch.zeros(2, 4)] * 2, "critic of 3 contexts was given 2"),
        ([torch.zeros(2, 5)] * 3, r"contexts has shape \(3, 2, 5\), expected \(3, any, 4\)"),
    ],
)
def test_contexts_that_do_not_fit_are_refused(contexts, message):
    with pytest.raises(ValueError, match=message):
        LevelValues(4, 3, 5).level_values(contexts)
