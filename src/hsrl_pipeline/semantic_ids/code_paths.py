"""Index from semantic IDs to the items that carry them, level by level, in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.semantic_ids.nearest import CodeArray
from hsrl_pipeline.shapes import PAD_ID, check_shape

NO_NODE = -1
"""Node of a prefix that no item has."""


@dataclass(frozen=True)
class CodePaths:
    """All prefixes in use, as sorted edges between the nodes of neighbouring levels.

    The root is node 0 of depth 0. The nodes of a depth are numbered in lexicographic order of
    their prefixes, so an edge key ``parent * vocab + code`` has its child at its own position.

    Attributes:
        vocab_sizes: Codes per level.
        edges: One entry per level: (node,) int64. Sorted edge keys.
        item_starts: (leaf + 1,) int64. Where each leaf's items start in ``items``.
        items: (live_item,) int64. Item indices, leaf after leaf, ascending in a leaf.
    """

    vocab_sizes: tuple[int, ...]
    edges: tuple[NDArray[np.int64], ...]
    item_starts: NDArray[np.int64]
    items: NDArray[np.int64]

    @classmethod
    def from_codes(cls, codes: CodeArray, vocab_sizes: Sequence[int]) -> CodePaths:
        """Return the index of an item-to-SID table.

        Args:
            codes: (item, level) int64. Rows with a negative first code carry no SID.
            vocab_sizes: Codes per level.
        """
        check_shape("codes", codes, None, len(vocab_sizes))
        live = np.flatnonzero(codes[:, 0] >= 0)
        nodes = np.zeros(len(live), dtype=np.int64)
        edges = []
        for depth, vocab_size in enumerate(vocab_sizes):
            keys = nodes * vocab_size + codes[live, depth]
            distinct, nodes = np.unique(keys, return_inverse=True)
            edges.append(distinct)
        order = np.argsort(nodes, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(nodes, minlength=len(edges[-1])))])
        return cls(tuple(int(v) for v in vocab_sizes), tuple(edges), starts, live[order])

    @property
    def counts(self) -> NDArray[np.int64]:
        """(leaf,) int64. Items under each code in use."""
        return np.diff(self.item_starts)

    @property
    def largest_group(self) -> int:
        """Items under the most collided code; 0 in an empty catalogue."""
        return int(self.counts.max(initial=0))

    def nodes_of(self, codes: CodeArray) -> NDArray[np.int64]:
        """Return the node that each prefix leads to.

        Args:
            codes: (batch, depth) int64. Depth may be smaller than the number of levels.

        Returns:
            (batch,) int64. ``NO_NODE`` where no item has the prefix.
        """
        nodes = np.zeros(len(codes), dtype=np.int64)
        for depth in range(codes.shape[1]):
            vocab_size, edges = self.vocab_sizes[depth], self.edges[depth]
            code = codes[:, depth]
            keys = nodes * vocab_size + code
            found = np.minimum(np.searchsorted(edges, keys), max(len(edges) - 1, 0))
            valid = (nodes >= 0) & (code >= 0) & (code < vocab_size)
            if len(edges):
                valid &= edges[found] == keys
            else:
                valid &= False
            nodes = np.where(valid, found, NO_NODE)
        return nodes

    def lookup(self, codes: CodeArray) -> NDArray[np.int64]:
        """Return the items under each full code, padded to the largest group of all.

        Args:
            codes: (batch, level) int64.

        Returns:
            (batch, group) int64. Ascending item indices, then PAD_ID.
        """
        check_shape("codes", codes, None, len(self.vocab_sizes))
        leaves = self.nodes_of(codes)
        known = leaves >= 0
        start = np.where(known, self.item_starts[leaves], 0)
        count = np.where(known, self.item_starts[leaves + 1] - start, 0)
        slots = np.arange(max(self.largest_group, 1))
        inside = slots < count[:, None]
        found = np.full(inside.shape, PAD_ID, dtype=np.int64)
        found[inside] = self.items[(start[:, None] + slots)[inside]]
        return found
