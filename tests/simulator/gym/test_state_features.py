import numpy as np
import torch

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.gym.state_features import StateFeatures


def test_features_by_hand():
    vectors = np.array([[9.0, 9.0], [2.0, 0.0], [0.0, 0.5], [3.0, 4.0]])
    features = StateFeatures((3, 2), 1, vectors, horizon=10)
    observation = Observation(
        torch.tensor([[2, 0], [0, 1]]),
        torch.tensor([[0.25], [-1.5]]),
        torch.tensor([[0, 0, 1, 2], [0, 0, 0, 0]]),
        torch.tensor([4, 0]),
    )
    flat = features.flatten(observation)
    assert features.space.shape == (12,)
    expected = [
        # one-hot of 3, one-hot of 2, dense, mean vector, newest vector, filled, passed
        [0, 0, 1, 1, 0, 0.25, 0.5, 0.5, 0, 1, 0.5, 0.4],
        [1, 0, 0, 0, 1, -1.5, 0, 0, 0, 0, 0, 0],
    ]
    np.testing.assert_allclose(flat.numpy(), expected, atol=1e-6)
    assert flat.dtype == torch.float32


def test_users_without_features_and_long_histories():
    features = StateFeatures((), 0, np.array([[0.0], [1.0], [-2.0]]), horizon=2)
    observation = Observation(
        torch.zeros(1, 0, dtype=torch.int64),
        torch.zeros(1, 0),
        torch.tensor([[1, 2]]),
        torch.tensor([1]),
    )
    assert features.flatten(observation).tolist() == [[0.0, -1.0, 1.0, 0.5]]


def test_skipped_items_have_a_mean_of_their_own():
    vectors = np.array([[9.0, 9.0], [2.0, 0.0], [0.0, 0.5], [3.0, 4.0]])
    features = StateFeatures((), 0, vectors, horizon=10, history="responses")
    observation = Observation(
        torch.zeros(2, 0, dtype=torch.int64),
        torch.zeros(2, 0),
        torch.tensor([[0, 1, 2, 3], [0, 0, 2, 1]]),
        torch.tensor([4, 0]),
        responses=torch.tensor([[0, 1, 1, 0], [0, 0, 0, 0]]),
    )
    assert features.space.shape == (8,)
    expected = [
        # mean and newest of the clicked, filled, passed, mean of the skipped
        [0.5, 0.5, 0, 1, 0.75, 0.4, 0.6, 0.8],
        [0, 0, 0, 0, 0.5, 0, 0.5, 0.5],
    ]
    np.testing.assert_allclose(features.flatten(observation).numpy(), expected, atol=1e-6)
