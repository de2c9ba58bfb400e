import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.networks import semantic_items
from hsrl_pipeline.networks.semantic_items import ItemWalk, SemanticItems

CODES = np.array([[-1, -1], [0, 0], [0, 1], [1, 1], [1, 1], [2, 0]])


def level_log_probs():
    first = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]).log()
    second = torch.tensor([[0.4, 0.6], [0.9, 0.1]]).log()
    return [first, second]


def test_items_sharing_a_code_share_its_probability():
    scores = SemanticItems(CODES, (3, 2)).catalogue_log_probs(level_log_probs())
    expected = [
        [0.0, 0.5 * 0.4, 0.5 * 0.6, 0.3 * 0.6 / 2, 0.3 * 0.6 / 2, 0.2 * 0.4],
        [0.0, 0.1 * 0.9, 0.1 * 0.1, 0.1 * 0.1 / 2, 0.1 * 0.1 / 2, 0.8 * 0.9],
    ]
    torch.testing.assert_close(scores.exp(), torch.tensor(expected))


def test_given_items_agree_with_the_catalogue():
    items = SemanticItems(CODES, (3, 2))
    slates = torch.tensor([[4, 1], [5, 2]])
    torch.testing.assert_close(
        items.log_prob(level_log_probs(), slates),
        items.catalogue_log_probs(level_log_probs()).gather(1, slates),
    )


@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_catalogue_is_the_plain_sum_over_levels(n_levels, n_items, seed):
    rng = np.random.default_rng(seed)
    sizes = tuple(int(size) for size in rng.integers(1, 5, n_levels))
    real = np.stack([rng.integers(0, size, n_items) for size in sizes], axis=1)
    codes = np.concatenate([np.full((1, n_levels), -1), real])
    log_probs = [
        torch.from_numpy(rng.normal(size=(3, size))).float().log_softmax(-1) for size in sizes
    ]
    plain = sum(p[:, real[:, level]] for level, p in enumerate(log_probs))
    counts = np.array([(real == row).all(1).sum() for row in real])
    scores = SemanticItems(codes, sizes).catalogue_log_probs(log_probs)
    torch.testing.assert_close(scores[:, 1:], plain - torch.from_numpy(counts).float().log())
    assert (scores[:, 0] == -torch.inf).all()
    assert (scores.exp().sum(-1) <= 1 + 1e-5).all()


@pytest.mark.parametrize(("item", "level", "code"), [(2, 0, 3), (5, 1, -1), (1, 1, 2)])
def test_an_item_without_a_valid_code_is_named(item, level, code):
    codes = CODES.copy()
    codes[item, level] = code
    with pytest.raises(ValueError, match=rf"item {item} has code {code} at level {level + 1}"):
        SemanticItems(codes, (3, 2))


def walked_log_probs(items, log_probs):
    """Multiply the choices from root to item, for every item: (batch, item)."""
    trie, walk = items.trie, ItemWalk(items, log_probs)
    batch = len(log_probs[0])
    total = torch.zeros(batch, trie.n_items)
    paths = trie.paths_of(torch.arange(1, trie.n_items + 1))
    nodes, slots = (table.expand(batch, -1, -1) for table in (paths, trie.slots_on(paths)))
    context = torch.zeros(batch, trie.n_items, 0)
    for level in range(1, items.n_levels + 1):
        choices, children, codes = walk.choose(level, context, nodes[..., level - 1])
        slot = slots[..., level - 1 : level]
        total += choices.gather(-1, slot)[..., 0]
        assert torch.equal(children.gather(-1, slot)[..., 0], nodes[..., level])
        assert torch.equal(codes.gather(-1, slot)[0, :, 0], items.codes[1:, level - 1])
        context = walk.refine(level, context, codes)
    return total + items.log_shares[1:]


def test_masses_of_the_worked_example():
    root, firsts = SemanticItems(CODES, (3, 2)).masses(level_log_probs())
    # the three first codes go on with both codes, with the second one, and with the first one
    torch.testing.assert_close(firsts[:, 0].float(), torch.tensor([1.0, 0.6, 0.4]))
    expected = torch.tensor([0.5 + 0.3 * 0.6 + 0.2 * 0.4, 0.1 + 0.1 * 0.1 + 0.8 * 0.9])
    torch.testing.assert_close(root[0].float(), expected)


@pytest.mark.parametrize("largest_dense", [2**24, 0])
@given(st.integers(1, 4), st.integers(2, 30), st.integers(1, 2), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_a_walk_multiplies_to_the_likelihood_among_existing_items(
    largest_dense, n_levels, n_items, n_shelves, seed
):
    rng = np.random.default_rng(seed)
    sizes = tuple(int(size) for size in rng.integers(1, 5, n_levels))
    real = np.stack([rng.integers(0, size, n_items) for size in sizes], axis=1)
    codes = np.concatenate([np.full((1, n_levels), -1), real])
    shelves = np.concatenate([[0], np.arange(n_items) % n_shelves + 1])
    # spread so wide that single precision would lose what is unlikely
    log_probs = [
        torch.from_numpy(rng.normal(scale=60.0, size=(3, size))).float().log_softmax(-1)
        for size in sizes
    ]
    before, semantic_items.LARGEST_DENSE = semantic_items.LARGEST_DENSE, largest_dense
    try:
        items = SemanticItems(codes, sizes, shelves)
    finally:
        semantic_items.LARGEST_DENSE = before
    assert items.followed.is_sparse is (largest_dense == 0)
    scores = items.catalogue_log_probs(log_probs)[:, 1:]
    expected = torch.empty_like(scores)
    for shelf in range(1, n_shelves + 1):
        on_shelf = torch.from_numpy(shelves[1:] == shelf)
        expected[:, on_shelf] = scores[:, on_shelf].log_softmax(-1)
    torch.testing.assert_close(walked_log_probs(items, log_probs), expected, rtol=1e-4, atol=1e-3)
    catalogue = torch.arange(1, n_items + 1).expand(3, -1)
    of_items = ItemWalk(items, log_probs).item_log_prob(torch.zeros(3, 2), catalogue)
    torch.testing.assert_close(of_items, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("priors", [None, np.log(np.array([1, 1, 1, 3, 1, 1], np.float32))])
def test_the_catalogue_heeds_priors_and_shown_items_as_single_items_do(priors):
    items = SemanticItems(CODES, (3, 2), priors=priors)
    catalogue = torch.arange(1, 6).expand(2, -1)
    for shown in (torch.tensor([[3, 0], [1, 0]]), torch.tensor([[3, 4], [4, 5]])):
        scores = items.catalogue_log_probs(level_log_probs(), shown)
        own = items.log_prob(level_log_probs(), catalogue, shown)
        torch.testing.assert_close(scores[:, 1:], own)
        assert (scores[:, 0] == -torch.inf).all()
    # of the code (1, 1), item 3 was shown: item 4 has all of it
    scores = items.catalogue_log_probs(level_log_probs(), torch.tensor([[3], [2]])).exp()
    assert scores[0, 3:5].tolist() == pytest.approx([0.0, 0.3 * 0.6])
    share = 0.5 if priors is None else 0.75
    assert scores[1, 3].item() == pytest.approx(0.1 * 0.1 * share)
