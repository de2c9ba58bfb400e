import pickle

import torch

from hsrl_pipeline.observation import Observation


def make_observation(shown=None):
    return Observation(
        torch.tensor([[1], [2]]),
        torch.zeros(2, 0),
        torch.tensor([[0, 3], [4, 5]]),
        torch.tensor([0, 1]),
        shown,
    )


def test_nothing_is_excluded_unless_given():
    assert make_observation().shown.shape == (2, 0)


def test_rows_keep_every_field():
    shown = torch.tensor([[1, 0], [2, 3]])
    picked = make_observation(shown).rows(torch.tensor([1]))
    assert picked.history.tolist() == [[4, 5]]
    assert picked.shown.tolist() == [[2, 3]]
    assert make_observation(shown).rows(torch.tensor([False, True])).step.tolist() == [1]


def test_repeating_puts_whole_batches_below_each_other():
    thrice = make_observation(torch.tensor([[1, 0], [2, 3]])).repeat(3)
    assert thrice.history.tolist() == [[0, 3], [4, 5]] * 3
    assert thrice.step.tolist() == [0, 1] * 3
    assert thrice.shown.tolist() == [[1, 0], [2, 3]] * 3
    assert thrice.user_dense.shape == (6, 0)


def test_pickle_and_replace_keep_the_type():
    observation = pickle.loads(pickle.dumps(make_observation()))
    assert isinstance(observation, Observation)
    assert observation._replace(step=torch.tensor([5, 5])).step.tolist() == [5, 5]


def test_shown_items_and_padding_are_masked():
    scores = torch.zeros(2, 4)
    shown = torch.tensor([[1, 0, 0], [2, 3, 0]])
    inf = float("inf")
    assert make_observation(shown).mask_shown(scores).tolist() == [
        [-inf, -inf, 0.0, 0.0],
        [-inf, 0.0, -inf, -inf],
    ]
    assert make_observation().mask_shown(scores).tolist() == [[-inf, 0.0, 0.0, 0.0]] * 2
    assert scores.tolist() == [[0.0] * 4] * 2
