"""Walks by masses of codes: the softmax over all items, whatever lies under a code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsrl_pipeline.agents.slate_policies import CatalogueSlates
from hsrl_pipeline.agents.slate_selection import SlateSelector
from hsrl_pipeline.agents.walked_slates import CodeSlates
from hsrl_pipeline.networks.code_masses import CodeMasses
from hsrl_pipeline.networks.code_scores import CodeScores
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie

N_ITEMS, WIDTH, WITHOUT_CODE = 40, 6, 7
VOCABS = [(11,), (5, 6), (4, 5, 3)]
STATES = torch.randn(8, WIDTH, generator=torch.Generator().manual_seed(1))
EVERY_ITEM = torch.arange(1, N_ITEMS + 1).expand(len(STATES), -1)


def make_masses(
    vocab_sizes: tuple[int, ...], *, shelves: bool = False, alone: bool = False, scale: float = 0.3
) -> CodeMasses:
    rng = np.random.default_rng(0)
    if alone:
        every = np.stack(np.unravel_index(np.arange(np.prod(vocab_sizes)), vocab_sizes), axis=1)
        codes = rng.permutation(every)[:N_ITEMS]
    else:
        codes = np.stack([rng.integers(0, size, N_ITEMS) for size in vocab_sizes], axis=1)
    codes = np.concatenate([np.full((1, len(vocab_sizes)), -1), codes])
    codes[WITHOUT_CODE] = -1
    priors = rng.normal(size=N_ITEMS + 1).astype(np.float32)
    on_shelf = np.arange(N_ITEMS + 1) % 2 + 1 if shelves else None
    if on_shelf is not None:
        on_shelf[0] = 0
    torch.manual_seed(0)
    head = CodeScores(
        WIDTH,
        codes,
        vocab_sizes,
        context_size=5,
        temperature=0.5,
        item_priors=None if shelves else priors,
    )
    with torch.no_grad():
        for weight in head.parameters():
            weight.add_(torch.randn(weight.shape) * scale)
    trie = CodeTrie(codes, vocab_sizes, on_shelf, None if shelves else priors)
    return CodeMasses(head, trie)


def observe(shown: torch.Tensor | None = None) -> Observation:
    rows = len(STATES)
    empty = torch.zeros(rows, 0, dtype=torch.int64)
    return Observation(
        empty, torch.zeros(rows, 0), empty, torch.zeros(rows, dtype=torch.int64), shown
    )


@pytest.mark.parametrize("vocab_sizes", VOCABS)
def test_items_have_the_probabilities_of_one_softmax(vocab_sizes: tuple[int, ...]) -> None:
    masses = make_masses(vocab_sizes)

    found = masses.walk(STATES).item_log_prob(STATES, EVERY_ITEM)

    expected = masses.head(STATES).log_softmax(-1)[:, 1:]
    coded = torch.arange(1, N_ITEMS + 1) != WITHOUT_CODE
    torch.testing.assert_close(found[:, coded], expected[:, coded])


def test_every_shelf_has_a_softmax_of_its_own() -> None:
    masses = make_masses(VOCABS[2], shelves=True)

    found = masses.walk(STATES).item_log_prob(STATES, EVERY_ITEM)

    scores = masses.head(STATES)
    for first in (1, 2):
        members = torch.arange(first, N_ITEMS + 1, 2)
        members = members[members != WITHOUT_CODE]
        expected = scores[:, members].log_softmax(-1)
        torch.testing.assert_close(found[:, members - 1], expected)


@pytest.mark.parametrize("vocab_sizes", VOCABS)
def test_choices_down_the_trie_multiply_to_the_softmax(vocab_sizes: tuple[int, ...]) -> None:
    masses = make_masses(vocab_sizes)
    walk, trie = masses.walk(STATES), masses.trie
    item = 12
    path = trie.paths_of(torch.tensor(item))
    slots = trie.slots_on(path)
    total = torch.zeros(len(STATES))
    for level in range(1, trie.n_levels + 1):
        nodes = path[level - 1].expand(len(STATES), 1)
        log_probs, children, _ = walk.choose(level, STATES.unsqueeze(1), nodes)
        slot = slots[level - 1]
        assert (children[:, 0, slot] == path[level]).all()
        torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(len(STATES), 1))
        total = total + log_probs[:, 0, slot]
    total = total + trie.log_shares[item]

    torch.testing.assert_close(total, masses.head(STATES).log_softmax(-1)[:, item])


def test_likelihood_and_gradient_are_those_of_the_catalogue_wide_softmax() -> None:
    masses = make_masses(VOCABS[2], alone=True)
    selector = SlateSelector(N_ITEMS, 3)
    shown = torch.tensor([[1, 2, 0]]).expand(len(STATES), -1)
    slates = torch.tensor([[3, 9, 15]]).expand(len(STATES), -1)

    results = []
    for slate_policy in (
        CodeSlates(masses, selector, 3),
        CatalogueSlates(masses.head, selector),
    ):
        likelihood = slate_policy.likelihood(STATES, observe(shown), slates)
        masses.head.zero_grad()
        likelihood.positions.sum().backward()
        gradients = [weight.grad.clone() for weight in masses.head.parameters()]
        results.append((likelihood.positions, likelihood.click_scores, *gradients))

    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("vocab_sizes", VOCABS)
@pytest.mark.parametrize("shelves", [False, True])
def test_gradients_are_those_of_a_softmax_per_shelf(
    vocab_sizes: tuple[int, ...], shelves: bool
) -> None:
    masses = make_masses(vocab_sizes, shelves=shelves)
    of = [[item for item in range(first, N_ITEMS + 1, 2)] for first in (1, 2)]
    groups = of if shelves else [sorted(of[0] + of[1])]
    asked = torch.tensor([12, 5, 33])
    walk = masses.walk(STATES)
    found = walk.item_log_prob(STATES, asked.expand(len(STATES), -1))
    scores = masses.head(STATES)
    expected = torch.zeros_like(scores)
    for group in groups:
        members = torch.tensor([item for item in group if item != WITHOUT_CODE])
        expected = expected.index_copy(1, members, scores[:, members].log_softmax(-1))

    gradients = []
    for log_prob in (found, expected[:, asked]):
        masses.head.zero_grad()
        (log_prob * STATES[:, :3]).sum().backward()
        gradients.append([weight.grad.clone() for weight in masses.head.parameters()])

    torch.testing.assert_close(found, expected[:, asked])
    for own, other in zip(*gradients, strict=True):
        torch.testing.assert_close(own, other, atol=1e-4, rtol=1e-4)


def test_draws_come_as_often_as_their_likelihood_says() -> None:
    masses = make_masses(VOCABS[2])
    slate_policy = CodeSlates(masses, SlateSelector(N_ITEMS, 1), 1)
    rows = 20_000
    state = STATES[:1].expand(rows, -1)
    seen = Observation(*(field[:1].expand(rows, *field.shape[1:]) for field in observe()))

    slates, log_prob = slate_policy.decode(
        state, seen, draw=True, generator=torch.Generator().manual_seed(0)
    )

    shares = torch.bincount(slates[:, 0], minlength=N_ITEMS + 1) / rows
    expected = masses.head(STATES[:1]).softmax(-1)[0]
    torch.testing.assert_close(shares, expected, atol=0.015, rtol=0.0)
    torch.testing.assert_close(log_prob, expected.log()[slates[:, 0]])


def test_the_likeliest_items_are_those_of_the_highest_score() -> None:
    masses = make_masses(VOCABS[2])
    slate_policy = CodeSlates(masses, SlateSelector(N_ITEMS, 4), 4)

    slates, _ = slate_policy.decode(STATES, observe(), draw=False)

    assert torch.equal(slates, masses.head(STATES).topk(4).indices)


def test_extreme_scores_keep_gradients_finite() -> None:
    masses = make_masses(VOCABS[2], scale=60.0)

    items = masses.walk(STATES).item_log_prob(STATES, EVERY_ITEM[:, 8:20])
    items.sum().backward()

    assert all(bool(weight.grad.isfinite().all()) for weight in masses.head.parameters())


def test_scores_of_single_items_and_deeper_codes_are_refused() -> None:
    codes = np.array([[-1] * 4, [0, 1, 0, 1], [1, 0, 1, 0]])
    trie = CodeTrie(codes, (2, 2, 2, 2))
    with pytest.raises(ValueError, match="4 levels, expected at most 3"):
        CodeMasses(CodeScores(3, codes, (2, 2, 2, 2)), trie)
    with pytest.raises(ValueError, match="no deviations"):
        CodeMasses(CodeScores(3, codes, (2, 2, 2, 2), item_deviations=True), trie)
    with pytest.raises(ValueError, match="no item vectors"):
        CodeMasses(CodeScores(3, codes, (2, 2, 2, 2), item_vectors=torch.zeros(3, 2)), trie)
