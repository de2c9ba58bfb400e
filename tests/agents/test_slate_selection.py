from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.agents.slate_selection import LEAST_SCORE, SlateSelector
from hsrl_pipeline.losses.policy_gradient import entropy_of
from hsrl_pipeline.networks.top_places import MANY_SCORES
from hsrl_pipeline.shapes import PAD_ID

LOGITS = torch.log(torch.tensor([[9.0, 0.4, 0.3, 0.2, 0.1]]))


def test_greedy_takes_the_best_items_in_order_and_never_padding() -> None:
    scores = torch.tensor([[99.0, 1.0, 4.0, 2.0, 3.0], [99.0, -1.0, -4.0, -2.0, -3.0]])
    slates = SlateSelector(4, 3).greedy(scores)
    assert slates.tolist() == [[2, 4, 3], [1, 3, 4]]


def test_log_prob_is_drawing_without_replacement() -> None:
    log_prob = SlateSelector(4, 2).log_prob(LOGITS, torch.tensor([[2, 1]]))
    # 0.3 of all, then 0.4 of the remaining 0.7
    assert log_prob.exp()[0].tolist() == pytest.approx([0.3, 0.4 / 0.7])


def test_the_probabilities_of_all_ordered_slates_sum_to_one() -> None:
    slates = torch.tensor(list(itertools.permutations(range(1, 5), 3)))
    logits = LOGITS.expand(len(slates), -1)
    total = SlateSelector(4, 3).log_prob(logits, slates).sum(-1).exp().sum()
    assert total.item() == pytest.approx(1.0)


def test_samples_follow_their_log_prob() -> None:
    selector = SlateSelector(4, 2)
    logits = LOGITS.expand(40_000, -1)
    slates, log_prob = selector.sample(logits, torch.Generator().manual_seed(0))
    first = (slates[:, 0] == 2).float().mean().item()
    both = ((slates[:, 0] == 2) & (slates[:, 1] == 1)).float().mean().item()
    assert first == pytest.approx(0.3, abs=0.01)
    assert both == pytest.approx(0.3 * 0.4 / 0.7, abs=0.01)
    assert torch.allclose(log_prob, selector.log_prob(logits, slates).sum(-1))


def test_the_likelihood_stays_exact_when_almost_all_probability_is_chosen() -> None:
    logits = torch.tensor([[0.0, 50.0, 48.0, -50.0, -51.0]], requires_grad=True)
    log_prob = SlateSelector(4, 3).log_prob(logits, torch.tensor([[1, 2, 3]]))
    expected = [-math.log1p(math.exp(-2.0)), 0.0, -math.log1p(math.exp(-1.0))]
    assert log_prob[0].tolist() == pytest.approx(expected, abs=1e-5)
    log_prob.sum().backward()
    assert bool(logits.grad.isfinite().all())


def test_a_slate_of_the_whole_catalogue_has_a_gradient() -> None:
    logits = torch.randn(1, 4, requires_grad=True)
    SlateSelector(3, 3).log_prob(logits, torch.tensor([[3, 1, 2]])).sum().backward()
    assert bool(logits.grad.isfinite().all())


def test_excluded_items_are_never_drawn_and_have_no_probability() -> None:
    logits = LOGITS.expand(200, -1).clone()
    logits[:, 1] = -torch.inf
    selector = SlateSelector(4, 3)
    slates, _ = selector.sample(logits, torch.Generator().manual_seed(0))
    assert not bool((slates == 1).any())
    assert selector.distribution(logits).exp()[0].tolist() == pytest.approx(
        [0.0, 0.0, 0.5, 1 / 3, 1 / 6]
    )


def test_shelves_share_the_slate_and_are_ranked_apart() -> None:
    shelves = np.array([0, 1, 2, 1, 2])
    selector = SlateSelector(4, 2, shelves)
    assert selector.greedy(LOGITS).tolist() == [[1, 2]]
    log_prob = selector.log_prob(LOGITS, torch.tensor([[3, 4]]))
    # item 3 has 0.2 of its shelf's 0.6, item 4 has 0.1 of its shelf's 0.4
    assert log_prob.exp()[0].tolist() == pytest.approx([1 / 3, 1 / 4])
    assert selector.distribution(LOGITS).exp()[0].tolist() == pytest.approx(
        [0.0, 2 / 3, 3 / 4, 1 / 3, 1 / 4]
    )


def test_an_item_of_no_shelf_takes_no_place() -> None:
    selector = SlateSelector(4, 2, np.array([0, 1, 2, 0, 2]))
    assert selector.n_shelves == 2
    scores = torch.tensor([[9.0, 0.0, 1.0, 8.0, 2.0]])
    assert selector.greedy(scores).tolist() == [[1, 4]]


def test_each_shelf_is_drawn_from_without_replacement_on_its_own() -> None:
    shelves = np.array([0, 1, 2, 1, 2, 1, 2])
    logits = torch.log(torch.tensor([[9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]))
    log_prob = SlateSelector(6, 4, shelves).log_prob(logits, torch.tensor([[3, 1, 2, 6]]))
    # 3 of 9, then 1 of 6 on the first shelf; 2 of 12, then 6 of 10 on the second
    assert log_prob.exp()[0].tolist() == pytest.approx([3 / 9, 1 / 6, 2 / 12, 6 / 10])


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 9), st.integers(1, 5), st.integers(0, 10_000))
def test_any_slate_is_distinct_and_in_range(n_items: int, slate: int, seed: int) -> None:
    slate = min(slate, n_items)
    generator = torch.Generator().manual_seed(seed)
    logits = 30.0 * torch.randn(7, n_items + 1, generator=generator)
    selector = SlateSelector(n_items, slate)
    drawn, log_prob = selector.sample(logits, generator)
    for slates in (drawn, selector.greedy(logits)):
        assert all(len(set(row)) == slate for row in slates.tolist())
        assert int(slates.min()) >= 1 and int(slates.max()) <= n_items
    assert bool((log_prob <= 1e-4).all()) and bool(log_prob.isfinite().all())


@pytest.mark.parametrize(
    ("n_items", "slate", "shelves", "message"),
    [
        (3, 4, None, "holds 3"),
        (4, 3, np.array([0, 1, 1, 2, 2]), "does not divide"),
        (4, 4, np.array([0, 1, 2, 2, 2]), "holds 1"),
        (4, 2, np.array([0, 1, 2]), "shelves has shape"),
    ],
)
def test_slates_that_cannot_be_filled_are_refused(
    n_items: int, slate: int, shelves: np.ndarray | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SlateSelector(n_items, slate, shelves)


def test_scores_of_another_catalogue_are_refused() -> None:
    with pytest.raises(ValueError, match="scores has shape"):
        SlateSelector(4, 2).greedy(torch.zeros(1, 4))


def test_released_items_are_neither_chosen_nor_do_they_teach():
    selector = SlateSelector(4, 2)
    logits = torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]]).log().requires_grad_()
    selector.set_live(np.array([False, True, False, True, True]))
    assert selector.greedy(logits.detach()).tolist() == [[4, 3]]
    drawn, _ = selector.sample(logits.detach().expand(200, -1), torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {1, 3, 4}
    # item 2 has left; item 1 was drawn from 1, 3 and 4
    log_prob = selector.log_prob(logits, torch.tensor([[2, 1]]))
    assert log_prob[0].tolist() == pytest.approx([0.0, np.log(1 / 8)])
    log_prob.sum().backward()
    assert logits.grad[0].tolist() == pytest.approx([0.0, 7 / 8, 0.0, -3 / 8, -4 / 8])
    whole = selector.distribution(logits.detach()).exp()
    assert whole[0].tolist() == pytest.approx([0.0, 1 / 8, 0.0, 3 / 8, 4 / 8])
    assert selector.without_absent(torch.tensor([[2, 4]])).tolist() == [[0, 4]]
    selector.set_live(np.array([False, True, True, True, True]))
    assert selector.greedy(logits.detach()).tolist() == [[4, 3]]


def test_a_shelf_with_too_few_live_items_is_refused():
    selector = SlateSelector(4, 2, np.array([0, 1, 1, 2, 2]))
    selector.set_live(np.array([False, True, False, False, True]))
    assert selector.greedy(torch.arange(5.0)[None]).tolist() == [[1, 4]]
    with pytest.raises(ValueError, match="a shelf holds 0 live items, a slate needs 1 of it"):
        selector.set_live(np.array([False, True, True, False, False]))
    assert selector.greedy(torch.arange(5.0)[None]).tolist() == [[1, 4]]


@pytest.mark.parametrize("place", ["spread", "one block", "at the end"])
def test_the_best_of_very_many_items_are_those_of_a_full_selection(place: str) -> None:
    n_items, n = MANY_SCORES + 100, 20
    scores = torch.rand((3, n_items + 1), generator=torch.Generator().manual_seed(0))
    if place == "one block":
        scores[:, 1001:1031] += 1.0
    if place == "at the end":
        scores[:, -30:] += 1.0
    scores[2] = -torch.inf
    scores[2, [5, 70_000 - 5_000]] = 0.0
    items, best = SlateSelector(n_items, 10).best(scores, n)
    expected = scores[:2, 1:].topk(n)
    assert torch.equal(items[:2], expected.indices + 1)
    assert torch.equal(best[:2], expected.values)
    assert items[2, :2].tolist() == [5, 65_000]
    assert (items[2, 2:] == PAD_ID).all()


@pytest.mark.parametrize("scale", [1.0, 40.0])
@pytest.mark.parametrize("shelves", [None, np.array([0, 1, 2, 1, 2, 1, 2, 1, 2])])
def test_likelihood_of_a_split_slate_is_that_of_the_whole_catalogue(shelves, scale):
    selector = SlateSelector(8, 4, shelves)
    selector.set_live(np.array([False, True, True, True, True, True, True, True, False]))
    torch.manual_seed(0)
    drawn = torch.randn(3, 9).mul(scale)
    slates = torch.tensor([[1, 3, 2, 4], [7, 5, 6, 2], [3, 1, 4, 8]])
    shown = torch.tensor([[6, 0], [0, 0], [5, 1]])
    weights = torch.randn(2, 3, 4)
    results = []
    for split_first in (True, False):
        scores = drawn.clone().requires_grad_()
        if split_first:
            split = selector.split(scores, slates, shown)
            items, positions, entropy = selector.likelihood(split)
            possible = ~split.hidden
        else:
            logits = scores.scatter(1, shown, -torch.inf)
            distribution = selector.distribution(logits)
            items = distribution.gather(1, slates)
            possible = items > -torch.inf
            chosen = logits.gather(1, slates).masked_fill(~possible, LEAST_SCORE)
            positions = selector.log_prob(logits.scatter(1, slates, chosen), slates)
            entropy = entropy_of(distribution) / selector.n_shelves
        items, positions = (part.masked_fill(~possible, 0.0) for part in (items, positions))
        (torch.stack([items, positions]) * weights).sum().add(entropy.sum()).backward()
        results.append([part.detach() for part in (items, positions, entropy)])
        results[-1] += [possible, scores.grad]
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)
    assert results[0][3].tolist()[2] == [True, False, True, False]
