import numpy as np
import pytest
import torch

from hsrl_pipeline.semantic_ids.code_trie import CodeTrie, check_codes

CODES = np.array([[-1, -1], [1, 0], [0, 2], [1, 0], [0, 1], [-1, -1], [2, 2]])
VOCAB = (3, 4)


def walk(trie, item):
    """Follow an item's slots from its root and return the codes met and the item found."""
    node, codes = trie.item_nodes[item, 0], []
    for level in range(1, trie.n_levels + 2):
        children, child_codes, valid = trie.branches(level, node)
        slot = trie.item_slots[item, level - 1]
        assert valid[slot]
        node = children[slot]
        assert node == trie.item_nodes[item, level]
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
        root: {item for item in (1, 2, 3, 4, 6) if trie.item_nodes[item, 0] == root}
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
