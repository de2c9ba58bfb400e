"""Prefix trie on tensors: which codes may follow a prefix, and which items a code names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from hsrl_pipeline.semantic_ids.code_paths import NO_NODE, CodePaths
from hsrl_pipeline.semantic_ids.nearest import CodeArray
from hsrl_pipeline.shapes import PAD_ID, check_shape

LARGEST_TABLE = 2**24
"""Entries up to which a level's children are kept as a dense table; beyond, they are searched."""


@dataclass(frozen=True)
class PrefixTrie:
    """Prefixes in use as tensors; every query is batched and free of Python loops over rows.

    A node stands for a prefix; node 0 of level 0 is the root, and ``NO_NODE`` a prefix that no
    item has. Levels count from 0.

    Attributes:
        vocab_sizes: Codes per level.
        edges: One entry per level: (child,) int64. Sorted keys ``parent * vocab + code``.
        tables: One entry per level: (node, vocab) int64 child nodes, or None where too large.
        item_starts: (leaf + 1,) int64. Where each leaf's items start in ``items``.
        items: (live_item,) int64. Item indices, leaf after leaf.
        group_size: Items under the most collided code, at least 1.
    """

    vocab_sizes: tuple[int, ...]
    edges: tuple[torch.Tensor, ...]
    tables: tuple[torch.Tensor | None, ...]
    item_starts: torch.Tensor
    items: torch.Tensor
    group_size: int

    @classmethod
    def from_codes(
        cls,
        codes: CodeArray,
        vocab_sizes: Sequence[int],
        *,
        device: torch.device | str = "cpu",
        largest_table: int = LARGEST_TABLE,
    ) -> PrefixTrie:
        """Return the trie of an item-to-SID table.

        Args:
            codes: (item, level) int64 numpy. Rows with a negative first code carry no SID.
            vocab_sizes: Codes per level.
            device: Where the tensors live.
            largest_table: Entries up to which children are kept as a dense table.
        """
        paths = CodePaths.from_codes(codes, vocab_sizes)
        n_parents = 1
        edges, tables = [], []
        for keys, vocab_size in zip(paths.edges, paths.vocab_sizes, strict=True):
            level_edges = torch.from_numpy(keys).to(device)
            edges.append(level_edges)
            table = None
            if 0 < n_parents * vocab_size <= largest_table:
                table = torch.full((n_parents * vocab_size,), NO_NODE, device=device)
                table[level_edges] = torch.arange(len(keys), device=device)
                table = table.view(n_parents, vocab_size)
            tables.append(table)
            n_parents = len(keys)
        return cls(
            vocab_sizes=paths.vocab_sizes,
            edges=tuple(edges),
            tables=tuple(tables),
            item_starts=torch.from_numpy(paths.item_starts).to(device),
            items=torch.from_numpy(paths.items).to(device),
            group_size=max(paths.largest_group, 1),
        )

    @property
    def n_levels(self) -> int:
        """Levels of a semantic ID."""
        return len(self.vocab_sizes)

    def root(self, *batch: int) -> torch.Tensor:
        """Return int64 nodes of the empty prefix, in the given shape."""
        return torch.zeros(batch, dtype=torch.int64, device=self.items.device)

    def children(self, level: int, nodes: torch.Tensor) -> torch.Tensor:
        """Return the child of each node for every code.

        Args:
            level: Level whose code is chosen next, in ``[0, n_levels)``.
            nodes: (...,) int64. Nodes of that level; ``NO_NODE`` has no children.

        Returns:
            (..., vocab) int64. Nodes of the next level, ``NO_NODE`` where the prefix ends.
        """
        table = self.tables[level]
        if table is not None:
            found = table[nodes.clamp(min=0)]
        else:
            codes = torch.arange(self.vocab_sizes[level], device=nodes.device)
            found = self._search(level, nodes.unsqueeze(-1), codes)
        return torch.where(nodes.unsqueeze(-1) < 0, NO_NODE, found)

    def valid_children(self, level: int, nodes: torch.Tensor) -> torch.Tensor:
        """Return which codes continue each prefix towards an item.

        Args:
            level: Level whose code is chosen next.
            nodes: (...,) int64. Nodes of that level.

        Returns:
            (..., vocab) bool.
        """
        return self.children(level, nodes) >= 0

    def descend(self, level: int, nodes: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Return the node reached by taking a code.

        Args:
            level: Level of the code.
            nodes: (...,) int64. Nodes of that level.
            codes: (...,) int64. Any value; one outside the vocabulary leads to ``NO_NODE``.

        Returns:
            (...,) int64.
        """
        vocab_size = self.vocab_sizes[level]
        valid = (nodes >= 0) & (codes >= 0) & (codes < vocab_size)
        table = self.tables[level]
        if table is not None:
            found = table[nodes.clamp(min=0), codes.clamp(0, vocab_size - 1)]
        else:
            found = self._search(level, nodes, codes)
        return torch.where(valid, found, NO_NODE)

    def nodes_of(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the node that each prefix leads to.

        Args:
            codes: (..., depth) int64. Depth from 0 to ``n_levels``.

        Returns:
            (...,) int64. ``NO_NODE`` where no item has the prefix.
        """
        nodes = self.root(*codes.shape[:-1])
        for level in range(codes.shape[-1]):
            nodes = self.descend(level, nodes, codes[..., level])
        return nodes

    def lookup(self, codes: torch.Tensor) -> torch.Tensor:
        """Return all items under each semantic ID (paper, Eq. 9 and App. E).

        Args:
            codes: (batch, level) int64.

        Returns:
            (batch, group_size) int64. Ascending item indices, then PAD_ID; PAD_ID alone where no
            item has the code.
        """
        check_shape("codes", codes, None, self.n_levels)
        return self.items_of(self.nodes_of(codes))

    def items_of(self, leaves: torch.Tensor) -> torch.Tensor:
        """Return the items of leaves, the nodes after the last level.

        Args:
            leaves: (...,) int64. Leaf nodes or ``NO_NODE``.

        Returns:
            (..., group_size) int64. Ascending item indices, then PAD_ID.
        """
        start, count = self._item_range(leaves)
        slots = torch.arange(self.group_size, device=leaves.device)
        inside = slots < count.unsqueeze(-1)
        at = (start.unsqueeze(-1) + slots).clamp(max=max(len(self.items) - 1, 0))
        if len(self.items) == 0:
            return torch.full(inside.shape, PAD_ID, device=leaves.device)
        return torch.where(inside, self.items[at], PAD_ID)

    def count_items(self, leaves: torch.Tensor) -> torch.Tensor:
        """Return (...,) int64, the items under each leaf; 0 for ``NO_NODE``."""
        return self._item_range(leaves)[1]

    def _item_range(self, leaves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        known = leaves >= 0
        at = leaves.clamp(min=0)
        start = torch.where(known, self.item_starts[at], 0)
        end = self.item_starts[(at + 1).clamp(max=len(self.item_starts) - 1)]
        return start, torch.where(known, end - start, 0)

    def _search(self, level: int, nodes: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Return the position of each edge among the sorted edges, ``NO_NODE`` if absent."""
        edges = self.edges[level]
        keys = nodes * self.vocab_sizes[level] + codes
        at = torch.searchsorted(edges, keys.contiguous()).clamp(max=max(len(edges) - 1, 0))
        found = edges[at] == keys if len(edges) else torch.zeros_like(keys, dtype=torch.bool)
        return torch.where(found, at, NO_NODE)
