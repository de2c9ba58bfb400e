"""The window of steps over which lambda-returns reach."""

import copy

import pytest
import torch

from hsrl_pipeline.agents.base import Bootstrap
from hsrl_pipeline.losses.returns import td_target
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch
from hsrl_pipeline.training.recent_steps import RecentSteps

CPU = torch.device("cpu")
GAMMA = 0.5


def step(number, terminated=(False, False), truncated=(False, False)):
    """Two sessions in which the step with a number earns it."""
    observation = Observation(
        torch.zeros(2, 1, dtype=torch.int64),
        torch.zeros(2, 0),
        torch.full((2, 3), number),
        torch.full((2,), number),
    )
    return TransitionBatch(
        observation,
        torch.tensor([[1, 2], [3, 4]]),
        torch.zeros(2, 2),
        torch.full((2,), float(number)),
        observation._replace(step=observation.step + 1),
        torch.tensor(terminated),
        torch.tensor(truncated),
        torch.zeros(2, 0),
        torch.zeros(2),
    )


class Values:
    """Values a next observation by ten times its step, plus how often it was asked before."""

    def __init__(self):
        self.asked = []

    def __call__(self, batch):
        value = 10.0 * batch.next_observation.step + len(self.asked)
        self.asked.append(int(batch.next_observation.step[0]))
        return Bootstrap(td_target(batch.reward, batch.terminated, value, GAMMA), value[:, None])


def test_a_window_of_one_step_is_the_newest_step_and_its_own_target():
    window, values, alone = RecentSteps(1, gamma=GAMMA, decay=1.0), Values(), Values()
    for number in range(1, 4):
        window.add(step(number, terminated=(number == 2, False)))
        batch, bootstrap = window.oldest(values)
        expected = alone(step(number, terminated=(number == 2, False)))
        assert batch.observation.step.tolist() == [number, number]
        assert torch.equal(bootstrap.td_target, expected.td_target)
        assert torch.equal(bootstrap.next_state, expected.next_state)


def test_each_step_is_learned_from_once_and_valued_once():
    window, values, learned = RecentSteps(3, gamma=GAMMA, decay=1.0), Values(), []
    for number in range(1, 5):
        window.add(step(number))
    for number in range(5, 9):
        batch, _ = window.oldest(values)
        learned.append(int(batch.observation.step[0]))
        window.add(step(number))
    assert learned == [2, 3, 4, 5]
    # those of the warm-up when the first is learned from, later ones as they come
    assert values.asked == [3, 4, 5, 6, 7, 8]


def test_targets_reach_over_the_window_with_the_values_of_their_time():
    window, values = RecentSteps(2, gamma=GAMMA, decay=0.25), Values()
    window.add(step(1, terminated=(False, True)))
    window.add(step(2, truncated=(True, False)))
    _, bootstrap = window.oldest(values)
    # V after step 1 is 20, after step 2 it is 31
    one, two = 1 + 0.5 * 20, 1 + 0.5 * (2 + 0.5 * 31)
    assert bootstrap.td_target.tolist() == [0.75 * one + 0.25 * two, 1.0]
    assert bootstrap.next_state.tolist() == [[20.0], [20.0]]
    window.add(step(3))
    _, bootstrap = window.oldest(values)
    # cut off after step 2, the first session counts on with its value; after step 3 it is 42
    one, two = 2 + 0.5 * 31, 2 + 0.5 * (3 + 0.5 * 42)
    assert bootstrap.td_target.tolist() == [one, 0.75 * one + 0.25 * two]


@pytest.mark.parametrize("filled", [1, 2, 3, 5])
def test_a_window_goes_on_from_its_state_however_full_it_is(filled):
    kept, values = RecentSteps(3, gamma=GAMMA, decay=0.5), Values()
    for number in range(1, filled + 1):
        kept.add(step(number))
        if number >= 3:
            kept.oldest(values)
    restored, later = RecentSteps(3, gamma=GAMMA, decay=0.5), copy.deepcopy(values)
    restored.load_state_dict(kept.state_dict(), CPU)
    for number in range(filled + 1, filled + 4):
        for window in (kept, restored):
            window.add(step(number))
    first, second = kept.oldest(values), restored.oldest(later)
    assert values.asked == later.asked
    assert torch.equal(first[0].reward, second[0].reward)
    assert torch.equal(first[0].next_observation.history, second[0].next_observation.history)
    assert torch.equal(first[1].td_target, second[1].td_target)
    assert torch.equal(first[1].next_state, second[1].next_state)


def test_a_window_that_is_not_full_teaches_nothing():
    window = RecentSteps(3, gamma=GAMMA, decay=0.5)
    window.add(step(1))
    with pytest.raises(ValueError, match="holds 1 of 3 steps"):
        window.oldest(Values())
