import numpy as np
import pytest
import torch

from hsrl_pipeline.semantic_ids.code_trie import CodeTrie
from hsrl_pipeline.semantic_ids.shown_items import NOWHERE, ShownItems

# Items 1 and 2 share the first code, 3 is alone below its own, 4 and 5 share a whole code,
# 6 has no semantic ID.
CODES = np.array([[-1, -1], [0, 0], [0, 1], [1, 0], [2, 1], [2, 1], [-1, -1]])
ROOT = torch.zeros(1, 1, dtype=torch.int64)
TOP = torch.zeros(1, dtype=torch.int64)


def look(*shown):
    return ShownItems(CodeTrie(CODES, (3, 2)), torch.tensor([[*shown, 0, 0]]), TOP)


@pytest.mark.parametrize(
    ("shown", "dead", "touched"),
    [
        ((), [False, False, False], (0, 0)),
        ((1,), [False, False, False], (1, 0)),
        ((2, 1), [True, False, False], (0, 0)),
        ((3, 4), [False, True, False], (1, 1)),
        ((5, 3, 1, 4), [False, True, True], (1, 0)),
        ((6,), [False, False, False], (0, 0)),
    ],
)
def test_prefixes_without_another_item_are_dead(shown, dead, touched):
    found = look(*shown)
    assert found.dead_children(1, ROOT, 3)[0, 0].tolist() == dead
    assert (found.n_touched(1), found.n_touched(2)) == touched


def test_dead_codes_are_found_below_any_order_of_prefixes():
    found = look(2, 4, 5)
    nodes = torch.tensor([[2, NOWHERE, 0, NOWHERE]])
    marks = found.dead_children(2, nodes, 2)[0].tolist()
    assert marks == [[True, False], [False, False], [False, True], [False, False]]


def test_a_row_minds_its_own_shelf_alone():
    trie = CodeTrie(CODES, (3, 2), np.array([0, 1, 2, 1, 1, 2, 2]))
    shown = torch.tensor([[1, 2]] * 2)
    found = ShownItems(trie, shown, torch.tensor([0, 1]))
    marks = found.dead_children(1, torch.tensor([[0], [1]]), 3)
    assert marks[:, 0].tolist() == [[True, False, False], [True, False, False]]


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_a_count_of_every_prefix(seed):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.full((1, 3), -1), rng.integers(0, 3, (40, 3))])
    trie = CodeTrie(codes, (3, 3, 3))
    shown = np.zeros((6, 30), np.int64)
    for row, count in enumerate(rng.integers(0, 31, 6)):
        shown[row, :count] = rng.permutation(40)[:count] + 1
        rng.shuffle(shown[row])
    found = ShownItems(trie, torch.from_numpy(shown), torch.zeros(6, dtype=torch.int64))
    paths = trie.paths_of(torch.arange(trie.n_items + 1)).numpy()
    for level in range(1, 4):
        parents = np.unique(paths[1:, level - 1])
        nodes = torch.from_numpy(rng.permutation(parents)).expand(6, -1).contiguous()
        width = trie.widths[level - 1]
        children, _, valid = trie.branches(level, nodes)
        marks = found.dead_children(level, nodes, width)
        touched = []
        for row in range(6):
            gone = np.bincount(paths[shown[row][shown[row] > 0], level], minlength=64)
            total = np.bincount(paths[1:, level], minlength=64)
            dead = torch.from_numpy((gone == total) & (total > 0))
            assert torch.equal(marks[row], dead[children[row]] & valid[row])
            touched.append(((gone > 0) & (gone < total)).sum())
        assert found.n_touched(level) == max(touched)
