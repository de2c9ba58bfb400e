from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.semantic_ids.code_paths import NO_NODE
from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.prefix_trie import PrefixTrie

CODES = np.array([[-1, -1], [2, 0], [0, 1], [2, 0], [-1, -1], [2, 1]])


@pytest.fixture(params=[0, 2**20], ids=["searched", "tables"])
def trie(request: pytest.FixtureRequest) -> PrefixTrie:
    return PrefixTrie.from_codes(CODES, (3, 2), largest_table=request.param)


def test_masks_by_hand(trie: PrefixTrie) -> None:
    root = trie.root(1)
    assert trie.valid_children(0, root).tolist() == [[True, False, True]]
    first = trie.descend(0, trie.root(3), torch.tensor([0, 2, 1]))
    assert first.tolist() == [0, 1, NO_NODE]
    assert trie.valid_children(1, first).tolist() == [
        [False, True],
        [True, True],
        [False, False],
    ]


def test_lookup_by_hand(trie: PrefixTrie) -> None:
    found = trie.lookup(torch.tensor([[2, 0], [0, 1], [0, 0], [2, 9], [-1, -1]]))
    assert found.tolist() == [[1, 3], [2, 0], [0, 0], [0, 0], [0, 0]]
    leaves = trie.nodes_of(torch.tensor([[2, 0], [2, 1], [1, 1]]))
    assert trie.count_items(leaves).tolist() == [2, 1, 0]


def test_queries_take_any_batch_shape(trie: PrefixTrie) -> None:
    codes = torch.tensor([[[2, 0], [0, 1]], [[2, 1], [1, 1]]])
    nodes = trie.nodes_of(codes)
    assert nodes.shape == (2, 2)
    assert trie.children(1, trie.nodes_of(codes[..., :1])).shape == (2, 2, 2)
    assert trie.items_of(nodes).tolist() == [[[1, 3], [2, 0]], [[5, 0], [0, 0]]]


def test_an_empty_trie_has_no_children() -> None:
    for largest_table in (0, 100):
        trie = PrefixTrie.from_codes(np.full((1, 2), -1), (3, 2), largest_table=largest_table)
        assert not trie.valid_children(0, trie.root(2)).any()
        assert trie.lookup(torch.tensor([[0, 0]])).tolist() == [[0]]


@settings(max_examples=30, deadline=None)
@given(
    n_items=st.integers(1, 40),
    vocab_sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    seed=st.integers(0, 99),
    largest_table=st.sampled_from([0, 2**20]),
)
def test_agrees_with_a_scan_of_the_table(
    n_items: int, vocab_sizes: list[int], seed: int, largest_table: int
) -> None:
    generator = np.random.default_rng(seed)
    codes = np.stack([generator.integers(0, v, n_items + 1) for v in vocab_sizes], axis=1)
    codes[0] = -1
    trie = PrefixTrie.from_codes(codes, vocab_sizes, largest_table=largest_table)
    asked = np.stack([generator.integers(-1, v + 1, 25) for v in vocab_sizes], axis=1)
    found = trie.lookup(torch.from_numpy(asked)).numpy()
    for code, items in zip(asked, found, strict=True):
        expected = np.flatnonzero((codes == code).all(axis=1))
        expected = expected[expected > 0]
        assert items[items > 0].tolist() == expected.tolist()
    for level in range(len(vocab_sizes)):
        prefixes = asked[:, :level]
        nodes = trie.nodes_of(torch.from_numpy(prefixes))
        mask = trie.valid_children(level, nodes).numpy()
        for prefix, row in zip(prefixes, mask, strict=True):
            under = (codes[1:, :level] == prefix).all(axis=1)
            valid = np.isin(np.arange(vocab_sizes[level]), codes[1:][under, level])
            assert (row == valid).all()


def test_agrees_with_the_codebook(codebook: Codebook) -> None:
    trie = PrefixTrie.from_codes(codebook.codes, codebook.vocab_sizes)
    codes = codebook.codes[1:]
    assert (trie.lookup(torch.from_numpy(codes)).numpy() == codebook.lookup(codes)).all()
    assert trie.n_levels == codebook.n_levels
