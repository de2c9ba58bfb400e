import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.semantic_ids.code_trie import NO_NODE, CodeTrie
from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.valid_codes import check_codes

CODES = np.array([[-1, -1], [1, 0], [0, 2], [1, 0], [0, 1], [-1, -1], [2, 2]])
VOCAB = (3, 4)


def walk(trie, item):
    """Follow an item's slots from its root and return the codes met and the item found."""
    path = trie.paths_of(torch.tensor(item))
    slots = trie.slots_on(path)
    node, codes = path[0], []
    for level in range(1, trie.n_levels + 2):
        children, child_codes, valid = trie.branches(level, node)
        slot = slots[level - 1]
        assert valid[slot]
        node = children[slot]
        assert node == path[level]
        codes.append(int(child_codes[slot]))
    return codes[:-1], int(trie.leaf_items[node])


@pytest.mark.parametrize("shelves", [None, np.array([0, 1, 2, 2, 1, 1, 2])])
def test_every_item_is_found_by_its_codes(shelves):
    trie = CodeTrie(CODES, VOCAB, shelves)
    for item in (1, 2, 3, 4, 6):
        assert walk(trie, item) == (CODES[item].tolist(), item)
    assert sorted(trie.leaf_items.tolist()) == [1, 2, 3, 4, 6]


def test_only_prefixes_with_items_are_children():
    trie = CodeTrie(CODES, VOCAB)
    _, codes, valid = trie.branches(1, torch.tensor([0]))
    assert codes[valid].tolist() == [0, 1, 2]
    children, codes, valid = trie.branches(2, torch.tensor([0, 1, 2]))
    assert [row[mask].tolist() for row, mask in zip(codes, valid, strict=True)] == [
        [1, 2],
        [0],
        [2],
    ]
    assert trie.n_children(2, torch.tensor([0, 1, 2])).tolist() == [2, 1, 1]
    assert children[~valid].eq(0).all()
    assert trie.n_children(3, children[1, :1]).tolist() == [2]


def test_shelves_have_roots_of_their_own():
    trie = CodeTrie(CODES, VOCAB, np.array([0, 1, 2, 2, 1, 1, 2]))
    assert trie.n_roots == 2
    below = {
        root: {item for item in (1, 2, 3, 4, 6) if trie.paths_of(torch.tensor(item))[0] == root}
        for root in (0, 1)
    }
    assert below == {0: {1, 4}, 1: {2, 3, 6}}


def test_random_catalogues_of_many_levels():
    rng = np.random.default_rng(0)
    for vocab in ((5,), (3, 3, 3, 3), (2, 7, 2)):
        codes = np.stack([rng.integers(0, size, 50) for size in vocab], axis=1)
        codes = np.concatenate([np.full((1, len(vocab)), -1), codes])
        trie = CodeTrie(codes, vocab)
        for item in range(1, 51):
            assert walk(trie, item) == (codes[item].tolist(), item)


@pytest.mark.parametrize(("item", "level", "code"), [(2, 1, 4), (6, 0, -1), (1, 0, 3)])
def test_a_broken_semantic_id_is_named(item, level, code):
    codes = CODES.copy()
    codes[item, level] = code
    with pytest.raises(ValueError, match=f"item {item} has code {code} at level {level + 1}"):
        check_codes(codes, VOCAB)


def test_a_catalogue_without_any_semantic_id_is_refused():
    with pytest.raises(ValueError, match="no item has a semantic ID"):
        check_codes(np.full((4, 2), -1), VOCAB)


# Items 1 and 3 under (2, 0), 2 under (0, 1), 5 under (2, 1); item 4 has no code.
PAIRS = np.array([[-1, -1], [2, 0], [0, 1], [2, 0], [-1, -1], [2, 1]])


def test_nodes_are_numbered_in_order_of_their_prefixes():
    trie = CodeTrie(PAIRS, (3, 2))
    assert trie.get_buffer("code_1").tolist() == [0, 2]
    assert trie.get_buffer("code_2").tolist() == [1, 0, 1]
    assert trie.n_children(3, torch.arange(3)).tolist() == [1, 2, 1]
    assert trie.widths[-1] == 2 and trie.has_collisions
    asked = torch.tensor([[2, 0], [0, 0], [9, 0], [-1, 1], [2, 9]])
    assert trie.nodes_of(asked).tolist() == [1, NO_NODE, NO_NODE, NO_NODE, NO_NODE]
    assert trie.nodes_of(asked[:, :1]).tolist() == [1, 0, NO_NODE, NO_NODE, 1]
    assert trie.nodes_of(asked[:, :0]).tolist() == [0] * 5


def test_lookup_pads_to_the_largest_group():
    trie = CodeTrie(PAIRS, (3, 2))
    found = trie.lookup(torch.tensor([[2, 0], [0, 1], [0, 0], [2, 9], [-1, -1]]))
    assert found.tolist() == [[1, 3], [2, 0], [0, 0], [0, 0], [0, 0]]
    with pytest.raises(ValueError, match="codes has shape"):
        trie.lookup(torch.tensor([[2]]))


def test_queries_take_any_batch_shape():
    trie = CodeTrie(PAIRS, (3, 2))
    codes = torch.tensor([[[2, 0], [0, 1]], [[2, 1], [1, 1]]])
    assert trie.nodes_of(codes).tolist() == [[1, 0], [2, NO_NODE]]


def test_lookup_keeps_to_the_shelf_asked_for():
    trie = CodeTrie(PAIRS, (3, 2), np.array([0, 1, 1, 2, 1, 2]))
    asked = torch.tensor([[2, 0], [2, 0], [0, 1]])
    assert trie.lookup(asked, torch.tensor([0, 1, 1])).tolist() == [[1], [3], [0]]
    assert not trie.has_collisions


catalogues = given(
    n_items=st.integers(1, 40),
    vocab=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    n_shelves=st.integers(1, 3),
    seed=st.integers(0, 99),
)


def draw_catalogue(n_items, vocab, n_shelves, seed):
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, n_items + 1) for size in vocab], axis=1)
    codes[0] = -1
    shelves = np.concatenate([[0], rng.permutation(np.arange(n_items) % n_shelves) + 1])
    return rng, codes, shelves


@settings(max_examples=30, deadline=None)
@catalogues
def test_agrees_with_a_scan_of_the_table(n_items, vocab, n_shelves, seed):
    rng, codes, shelves = draw_catalogue(n_items, vocab, n_shelves, seed)
    trie = CodeTrie(codes, tuple(vocab), shelves)
    asked = np.stack([rng.integers(-1, size + 1, 25) for size in vocab], axis=1)
    roots = rng.integers(0, trie.n_roots, 25)
    found = trie.lookup(torch.from_numpy(asked), torch.from_numpy(roots)).numpy()
    for code, root, items in zip(asked, roots, found, strict=True):
        expected = np.flatnonzero((codes == code).all(axis=1) & (shelves == root + 1))
        assert items[items > 0].tolist() == expected.tolist()
    for depth in range(len(vocab)):
        prefixes = torch.from_numpy(asked[:, :depth])
        nodes = trie.nodes_of(prefixes, torch.from_numpy(roots))
        _, children, valid = trie.branches(depth + 1, nodes.clamp(min=0))
        for row, (prefix, root) in enumerate(zip(asked[:, :depth], roots, strict=True)):
            under = (codes[1:, :depth] == prefix).all(axis=1) & (shelves[1:] == root + 1)
            assert (nodes[row] != NO_NODE) == under.any()
            if under.any():
                expected = np.unique(codes[1:][under, depth])
                assert children[row][valid[row]].tolist() == expected.tolist()


@settings(max_examples=30, deadline=None)
@catalogues
def test_places_are_those_of_a_sorted_table(n_items, vocab, n_shelves, seed):
    rng, codes, shelves = draw_catalogue(n_items, vocab, n_shelves, seed)
    trie = CodeTrie(codes, tuple(vocab), shelves)
    leaves = [(int(shelves[item]) - 1, *codes[item].tolist()) for item in trie.leaf_items]
    assert leaves == sorted(leaves)
    asked = np.stack([rng.integers(0, size, 25) for size in vocab], axis=1)
    roots = rng.integers(0, trie.n_roots, 25)
    places = trie.places_of(torch.from_numpy(asked), torch.from_numpy(roots))
    for code, root, place in zip(asked.tolist(), roots, places.tolist(), strict=True):
        assert place == sum(leaf < (int(root), *code) for leaf in leaves)


def test_agrees_with_the_codebook(codebook: Codebook):
    trie = CodeTrie(codebook.codes, codebook.vocab_sizes)
    codes = codebook.codes[1:]
    assert (trie.lookup(torch.from_numpy(codes)).numpy() == codebook.lookup(codes)).all()
    assert trie.has_collisions is (codebook.collisions == "keep")


A, B, C = [0, 0], [0, 1], [1, 0]
GROUPS = np.array([[-1, -1], A, A, B, A, C, C])
PRIORS = np.log(np.array([1, 1, 6, 5, 3, 2, 2], np.float32))
NODES = torch.tensor([[0, 1, 2]])


def test_priors_are_the_log_odds_among_the_items_of_a_code():
    trie = CodeTrie(GROUPS, (2, 2), priors=PRIORS)
    items, log_shares = trie.leaf_choice(NODES)
    assert items.tolist() == [[[1, 2, 4], [3, 0, 0], [5, 6, 0]]]
    expected = [[[0.1, 0.6, 0.3], [1, 0, 0], [0.5, 0.5, 0]]]
    torch.testing.assert_close(log_shares.exp(), torch.tensor(expected))
    shares = trie.item_log_shares(torch.tensor([[2, 3, 6]])).exp()
    torch.testing.assert_close(shares, torch.tensor([[0.6, 1.0, 0.5]]))


@pytest.mark.parametrize("priors", [None, np.zeros(7, np.float32), np.full(7, 3, np.float32)])
def test_equal_priors_share_evenly(priors):
    log_shares = CodeTrie(GROUPS, (2, 2), priors=priors).log_shares
    expected = -torch.tensor([1.0, 3.0, 3.0, 1.0, 3.0, 2.0, 2.0]).log()
    torch.testing.assert_close(log_shares, expected, rtol=0, atol=0)


def test_a_shelf_shares_by_itself():
    trie = CodeTrie(GROUPS, (2, 2), np.array([0, 1, 1, 1, 2, 1, 1]), PRIORS)
    torch.testing.assert_close(trie.log_shares[[1, 2, 4]].exp(), torch.tensor([1 / 7, 6 / 7, 1.0]))


def test_what_may_not_be_shown_again_leaves_its_share_to_the_others_of_its_code():
    trie = CodeTrie(GROUPS, (2, 2), priors=PRIORS)
    shown = torch.tensor([[2, 0, 0], [2, 4, 5], [1, 2, 4]])
    nodes = NODES.expand(3, -1)
    _, log_shares = trie.leaf_choice(nodes, shown)
    expected = [
        [[0.25, 0, 0.75], [1, 0, 0], [0.5, 0.5, 0]],
        [[1, 0, 0], [1, 0, 0], [0, 1, 0]],
        # nothing is left of the first code: its shares stay for the caller to pass over
        [[0.1, 0.6, 0.3], [1, 0, 0], [0.5, 0.5, 0]],
    ]
    torch.testing.assert_close(log_shares.exp(), torch.tensor(expected))
    items = torch.arange(1, 7).expand(3, -1)
    own = trie.item_log_shares(items, shown).exp()
    torch.testing.assert_close(own[0], torch.tensor([0.25, 0, 1, 0.75, 0.5, 0.5]))
    torch.testing.assert_close(own[1], torch.tensor([1, 0, 1, 0, 0, 1.0]))


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        (np.zeros(3, np.float32), "priors has shape"),
        (np.array([0, 1, np.nan, 0, 0, 0, 0], np.float32), "item 2 has prior nan"),
        (np.array([0, 1, 0, np.inf, 0, 0, 0], np.float32), "item 3 has prior inf"),
    ],
)
def test_priors_that_are_no_numbers_are_refused(priors, message):
    with pytest.raises(ValueError, match=message):
        CodeTrie(GROUPS, (2, 2), priors=priors)
