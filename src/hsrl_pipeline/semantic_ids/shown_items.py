"""Where in the trie items lie that may not be shown again."""

from __future__ import annotations

import torch

from hsrl_pipeline.semantic_ids.code_trie import CodeTrie
from hsrl_pipeline.shapes import PAD_ID

NOWHERE = -1
"""Stands for prefixes of a beam that lead nowhere."""


class ShownItems:
    """What items that may not be shown again take away from the trie, row by row.

    A prefix all of whose items were shown is *dead*. One that lost some of its items and kept
    others is *touched*. The items below a prefix stand side by side in the order of the leaves, so
    one sort of the shown items groups them by their prefixes of every level, and the work grows
    with the items shown and not with the catalogue.

    Args:
        trie: The catalogue.
        shown: (row, shown) int64. Items that may not be shown again, each once, PAD_ID elsewhere.
        roots: (row,) int64. Root that each row starts from: other shelves do not matter to it.
    """

    def __init__(self, trie: CodeTrie, shown: torch.Tensor, roots: torch.Tensor) -> None:
        self._trie = trie
        nodes = trie.paths_of(shown)
        counted = trie.has_code[shown] & (shown != PAD_ID) & (nodes[..., 0] == roots.unsqueeze(1))
        leaves = nodes[..., -1].masked_fill(~counted, len(trie.leaf_items))
        most = int(counted.sum(1).max()) if len(shown) else 0
        leaves = leaves.sort(dim=1).values[:, :most]
        valid = leaves < len(trie.leaf_items)
        items = trie.leaf_items[leaves.clamp(max=len(trie.leaf_items) - 1)]
        # free places come last at every level, as they do among the leaves
        paths = trie.paths_of(items).masked_fill(~valid.unsqueeze(-1), torch.iinfo(torch.int64).max)
        self._nodes = [nodes.contiguous() for nodes in paths.unbind(-1)[:-1]]
        self._dead = []
        touched = []
        places = torch.arange(most, device=shown.device)
        for level in range(1, trie.n_levels + 1):
            own = self._nodes[level]
            start = torch.searchsorted(own, own)
            count = torch.searchsorted(own, own, right=True) - start
            total = trie.n_items_below(level)[own.masked_fill(~valid, 0)]
            first = valid & (start == places)
            self._dead.append(first & (count == total))
            touched.append((first & (count < total)).sum(1))
        largest = torch.stack(touched).amax(1) if most else torch.zeros(trie.n_levels)
        self._n_touched: list[int] = largest.long().tolist()

    def n_touched(self, level: int) -> int:
        """Return the most touched prefixes of ``level`` codes that any row has."""
        return self._n_touched[level - 1]

    def dead_children(self, level: int, nodes: torch.Tensor, n_slots: int) -> torch.Tensor:
        """Return which children of nodes are dead.

        Args:
            level: Level of the children, from 1 to L.
            nodes: (row, beam) int64. Distinct nodes of level ``level - 1``; ``NOWHERE`` may
                repeat.
            n_slots: Slots per node.

        Returns:
            (row, beam, slot) bool.
        """
        parents, own, dead = self._nodes[level - 1], self._nodes[level], self._dead[level - 1]
        ordered, order = nodes.sort(dim=1)
        at = torch.searchsorted(ordered, parents).clamp(max=nodes.shape[1] - 1)
        found = dead & (ordered.gather(1, at) == parents)
        first = self._trie.get_buffer(f"first_{level}")[parents.masked_fill(~found, 0)]
        # what is not in the beam goes to a spare place behind it
        spare = nodes.shape[1] * n_slots
        places = torch.where(found, order.gather(1, at) * n_slots + own - first, spare)
        marks = torch.zeros((len(nodes), spare + 1), dtype=torch.bool, device=nodes.device)
        marks.scatter_(1, places, True)
        return marks[:, :-1].view(len(nodes), nodes.shape[1], n_slots)
