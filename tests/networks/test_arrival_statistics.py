"""Effects of items that arrived later, show by show."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from hsrl_pipeline.networks.arrival_statistics import ArrivalStatistics


def make(prior_strength: float = 2.0) -> ArrivalStatistics:
    statistics = ArrivalStatistics(6, prior_strength)
    statistics.start(torch.tensor([3, 4]))
    return statistics


def test_shows_by_hand() -> None:
    statistics = make()
    items = torch.tensor([3, 1, 3, 4, 0])
    clicks = torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0])
    predicted = torch.tensor([0.5, 0.1, 0.8, 0.2, 0.1])
    statistics.observe(items, clicks, predicted)
    information = 0.25 + 0.16
    expected = torch.tensor([0.0, 0.0, 0.0, (0.5 - 0.8) / (2 + information), 0.8 / 2.16, 0.0])
    torch.testing.assert_close(statistics.effects.data, expected)
    torch.testing.assert_close(statistics.information[3], torch.tensor(information))
    # what came before keeps its weight
    statistics.observe(torch.tensor([3]), torch.tensor([1.0]), torch.tensor([0.5]))
    expected[3] += 0.5 / (2 + information + 0.25)
    torch.testing.assert_close(statistics.effects.data, expected)


def test_an_effect_comes_near_what_explains_the_clicks() -> None:
    """With ever more shows it leaves the prior and settles where prediction and clicks agree."""
    rate, level = 0.8, 0.3
    truth = math.log(rate / (1 - rate)) - math.log(level / (1 - level))
    found = []
    for n_shows in (4, 1000):
        statistics = make(prior_strength=2.0)
        for _ in range(n_shows):
            effect = statistics.effects[3].item()
            predicted = torch.sigmoid(torch.tensor([math.log(level / (1 - level)) + effect]))
            statistics.observe(torch.tensor([3]), torch.tensor([rate]), predicted)
        found.append(statistics.effects[3].item())
    assert 0.2 * truth < found[0] < 0.9 * truth
    assert found[1] == pytest.approx(truth, abs=0.05)


def test_an_item_that_arrives_starts_anew_and_others_stay() -> None:
    statistics = make()
    statistics.observe(torch.tensor([3, 4]), torch.ones(2), torch.full((2,), 0.5))
    kept = statistics.effects.clone()
    statistics.start(torch.tensor([5]))
    assert torch.equal(statistics.effects, kept)
    statistics.observe(torch.tensor([5]), torch.ones(1), torch.full((1,), 0.5))
    assert statistics.effects[5] > 0 and torch.equal(statistics.effects[:5], kept[:5])
    statistics.start(torch.tensor([4]))
    assert statistics.effects[4] == statistics.information[4] == 0


def test_copies_have_numbers_of_their_own_and_optimisers_leave_them_alone() -> None:
    statistics = make()
    twin = copy.deepcopy(statistics)
    statistics.observe(torch.tensor([3]), torch.ones(1), torch.full((1,), 0.5))
    assert not twin.effects.any()
    assert not any(weight.requires_grad for weight in statistics.parameters())
    assert set(statistics.state_dict()) == {"effects", "information"}


def test_numbers_go_from_one_to_another_for_items_that_both_follow() -> None:
    one = make()
    one.observe(torch.tensor([3, 4]), torch.ones(2), torch.full((2,), 0.5))
    items, numbers = one.of_arrived()
    assert items.tolist() == [3, 4]
    torch.testing.assert_close(numbers, torch.tensor([[0.5 / 2.25, 0.25]]).repeat(2, 1))
    other = ArrivalStatistics(8, 2.0)
    other.start(torch.tensor([4, 5]))
    other.take_over(items, numbers)
    assert other.effects.nonzero()[:, 0].tolist() == [4]
    assert other.effects[4] == one.effects[4] and other.information[4] == one.information[4]
    # a copy: what one sees from now on is not seen by the other
    one.observe(torch.tensor([4]), torch.ones(1), torch.full((1,), 0.5))
    assert other.effects[4] < one.effects[4] and numbers[1, 0] == other.effects[4]


def test_optimism_by_hand() -> None:
    assert make().optimism() is None
    statistics = ArrivalStatistics(6, 4.0, bonus=3.0)
    statistics.start(torch.tensor([3, 4]))
    items = torch.tensor([3, 3, 1])
    statistics.observe(items, torch.ones(3), torch.tensor([0.5, 0.8, 0.5]))
    expected = [0.0, 0.0, 0.0, 3.0 / math.sqrt(4.0 + 0.25 + 0.16), 1.5, 0.0]
    torch.testing.assert_close(statistics.optimism(), torch.tensor(expected))
