"""The catalogue as a trie of semantic IDs: the one index of codes, prefixes and items."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hsrl_pipeline.semantic_ids.item_shares import share_out
from hsrl_pipeline.semantic_ids.leaf_order import mark_first_leaves, order_by_codes
from hsrl_pipeline.semantic_ids.valid_codes import check_codes
from hsrl_pipeline.shapes import PAD_ID, check_shape

NO_NODE = -1
"""Node of a prefix that no item has."""


class CodeTrie(nn.Module):
    """Valid prefixes of semantic IDs, level by level, down to the items of each code.

    Level 0 holds one root per shelf (a single one without shelves), level ``l`` the distinct
    prefixes of ``l`` codes, and the last level, ``L + 1``, the items themselves: items that share
    a code are its children. The children of a node have consecutive numbers, so a child is a
    node's first child plus a slot. Nodes are numbered in the order of their shelves and codes.
    Only prefixes that lead to an item exist.

    The choice among the items of one code is no decision of a policy: an item's share of its
    code's probability is the softmax of the priors over the items of that code (paper, App. E).
    Equal priors share evenly.

    Args:
        codes: (item, level) int64. Semantic IDs, row 0 all -1. An item whose codes are all -1 has
            no semantic ID: the trie doesn't hold it and it is never recommended.
        vocab_sizes: Number of codes per level.
        shelves: (item,) int64 or None. Shelf of each item from 1; row 0 is 0.
        priors: (item,) float32 or None. Log-odds of the items of one code; None for equal ones.

    Raises:
        ValueError: A code lies outside its level's vocabulary or a prior is not finite; names the
            item. Or no item has a semantic ID.
    """

    leaf_of: torch.Tensor
    leaf_items: torch.Tensor
    has_code: torch.Tensor
    log_shares: torch.Tensor

    def __init__(
        self,
        codes: NDArray[np.int64],
        vocab_sizes: tuple[int, ...],
        shelves: NDArray[np.int64] | None = None,
        priors: NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__()
        live = check_codes(codes, vocab_sizes)
        self.n_items = len(codes) - 1
        self.n_levels = len(vocab_sizes)
        self.vocab_sizes = tuple(vocab_sizes)
        roots = None
        if shelves is not None:
            roots = np.unique(shelves[live], return_inverse=True)[1].ravel().astype(np.int64)
        leaf_items = order_by_codes(live, roots, codes, self.vocab_sizes)
        leaf_roots = None if roots is None else np.sort(roots)
        marks = mark_first_leaves(leaf_items, leaf_roots, codes)
        starts = [*map(np.flatnonzero, marks), np.arange(len(leaf_items))]
        self.n_roots = len(starts[0])
        widths = []
        for level in range(1, self.n_levels + 2):
            first = np.flatnonzero(marks[level - 1][starts[level]])
            n_children = np.diff(first, append=len(starts[level]))
            widths.append(int(n_children.max()))
            self._keep(f"first_{level}", first)
            self._keep(f"n_children_{level}", n_children)
            self._keep(f"parent_{level}", np.arange(len(first)).repeat(n_children))
            added = leaf_items[starts[level]]
            self._keep(
                f"code_{level}", codes[added, level - 1] if level <= self.n_levels else added
            )
        self.widths = tuple(widths)
        for level, places in enumerate(starts[:-1]):
            self._keep(f"leaves_{level}", np.append(places, len(leaf_items)))
        leaf_of = np.zeros(len(codes), np.int64)
        leaf_of[leaf_items] = starts[-1]
        self._keep("leaf_of", leaf_of)
        self._keep("leaf_items", leaf_items)
        has_code = np.zeros(len(codes), bool)
        has_code[live] = True
        self._keep("has_code", has_code)
        log_shares = np.zeros(len(codes), np.float32)
        log_shares[leaf_items] = share_out(priors, leaf_items, len(codes), starts[-2])
        self._keep("log_shares", log_shares)

    @property
    def has_collisions(self) -> bool:
        """Whether any two items of a shelf share a code."""
        return self.widths[-1] > 1

    def branches(
        self, level: int, nodes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the children of nodes.

        Args:
            level: Level of the children, from 1; ``L + 1`` gives the items of codes.
            nodes: (...) int64. Nodes of level ``level - 1``.

        Returns:
            children: (..., slot) int64. Node numbers; 0 where the slot is empty.
            codes: (..., slot) int64. The code each child adds; at ``L + 1`` the item's number.
            valid: (..., slot) bool. False where the slot is empty.
        """
        slots = torch.arange(self.widths[level - 1], device=nodes.device)
        valid = slots < self.get_buffer(f"n_children_{level}")[nodes].unsqueeze(-1)
        first = self.get_buffer(f"first_{level}")[nodes].unsqueeze(-1)
        children = (first + slots).masked_fill_(~valid, 0)
        return children, self.get_buffer(f"code_{level}")[children], valid

    def paths_of(self, items: torch.Tensor) -> torch.Tensor:
        """Return the nodes on the way from the root to items.

        Args:
            items: (...) int64.

        Returns:
            (..., level + 2) int64. Nodes of levels 0 to ``L + 1``; 0 for items without a semantic
            ID.
        """
        nodes = [self.leaf_of[items]]
        for level in range(self.n_levels + 1, 0, -1):
            nodes.append(self.get_buffer(f"parent_{level}")[nodes[-1]])
        return torch.stack(nodes[::-1], dim=-1)

    def slots_on(self, paths: torch.Tensor) -> torch.Tensor:
        """Return which child of the node before it each node of a path is.

        Args:
            paths: (..., level + 2) int64. Nodes of levels 0 to ``L + 1``.

        Returns:
            (..., level + 1) int64. Slots at levels 1 to ``L + 1``.
        """
        firsts = [
            self.get_buffer(f"first_{level}")[paths[..., level - 1]]
            for level in range(1, self.n_levels + 2)
        ]
        return paths[..., 1:] - torch.stack(firsts, dim=-1)

    def n_children(self, level: int, nodes: torch.Tensor) -> torch.Tensor:
        """Return (...) int64, how many children of ``level`` the nodes above it have."""
        return self.get_buffer(f"n_children_{level}")[nodes]

    def n_items_below(self, level: int) -> torch.Tensor:
        """Return (node,) int64, how many items lie below each node of a level from 0 to L."""
        return self.get_buffer(f"leaves_{level}").diff()

    def nodes_of(self, codes: torch.Tensor, roots: torch.Tensor | None = None) -> torch.Tensor:
        """Return the node that each prefix leads to.

        Args:
            codes: (..., depth) int64. Depth from 0 to L; any values.
            roots: (...) int64. Roots to start from; None for the first.

        Returns:
            (...) int64. ``NO_NODE`` where no item has the prefix.
        """
        nodes = codes.new_zeros(codes.shape[:-1]) if roots is None else roots
        for level in range(1, codes.shape[-1] + 1):
            code = codes[..., level - 1]
            _, at, found = self._step(level, nodes, code)
            known = (nodes >= 0) & (code >= 0) & (code < self.vocab_sizes[level - 1])
            nodes = torch.where(found & known, at, NO_NODE)
        return nodes

    def lookup(self, codes: torch.Tensor, roots: torch.Tensor | None = None) -> torch.Tensor:
        """Return all items under each semantic ID, ``S(z)`` (paper, Eq. 9 and App. E).

        Args:
            codes: (batch, level) int64.
            roots: (batch,) int64. Root of the shelf to look on; None for the first.

        Returns:
            (batch, group) int64. Ascending items, then PAD_ID; ``group`` is the size of the
            largest set of all.
        """
        check_shape("codes", codes, None, self.n_levels)
        nodes = self.nodes_of(codes, roots)
        _, items, valid = self.branches(self.n_levels + 1, nodes.clamp(min=0))
        return items.masked_fill(~valid | (nodes == NO_NODE).unsqueeze(-1), PAD_ID)

    def places_of(self, codes: torch.Tensor, roots: torch.Tensor) -> torch.Tensor:
        """Return where codes stand in ``leaf_items``, whether items have them or not.

        Args:
            codes: (..., level) int64. Codes in their level's vocabulary.
            roots: (...) int64. Root of the shelf each code belongs to.

        Returns:
            (...) int64. Place of the first item of that root whose code is the same or greater.
        """
        nodes, places = roots, torch.zeros_like(roots)
        exact = torch.ones_like(roots, dtype=torch.bool)
        for level in range(1, self.n_levels + 1):
            after, at, found = self._step(level, nodes, codes[..., level - 1])
            places = torch.where(exact, self.get_buffer(f"leaves_{level}")[after], places)
            exact = exact & found
            nodes = torch.where(found, at, nodes)
        return places

    def leaf_choice(
        self, nodes: torch.Tensor, shown: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the distribution over the items of codes.

        Items that may not be shown again leave their share to the others of their code. A code
        that has no other item keeps its shares: it is for the caller to pass it over.

        Args:
            nodes: (batch, any) int64. Nodes of level L.
            shown: (batch, shown) int64. Items that may not be shown again, PAD_ID elsewhere.

        Returns:
            items: (batch, any, slot) int64. PAD_ID where the slot is empty.
            log_shares: (batch, any, slot) float32. ``-inf`` for what cannot be chosen.
        """
        _, items, valid = self.branches(self.n_levels + 1, nodes)
        log_shares = self.log_shares[items].masked_fill(~valid, -torch.inf)
        items = items.masked_fill(~valid, PAD_ID)
        if shown is None or not shown.shape[1] or not self.has_collisions:
            return items, log_shares
        ordered, asked = shown.sort(dim=1).values, items.flatten(1)
        at = torch.searchsorted(ordered, asked).clamp(max=shown.shape[1] - 1)
        barred = (ordered.gather(1, at) == asked).view_as(items)
        allowed = log_shares.masked_fill(barred, -torch.inf)
        total = allowed.logsumexp(-1, keepdim=True)
        return items, torch.where(total > -torch.inf, allowed - total, log_shares)

    def item_log_shares(
        self, items: torch.Tensor, shown: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the share of its code's probability that each item has, as ``leaf_choice``.

        Args:
            items: (batch, any) int64.
            shown: (batch, shown) int64. Items that may not be shown again, PAD_ID elsewhere.

        Returns:
            (batch, any) float32. 0 for items without a semantic ID.
        """
        if shown is None or not shown.shape[1] or not self.has_collisions:
            return self.log_shares[items]
        paths = self.paths_of(items)
        _, log_shares = self.leaf_choice(paths[..., -2], shown)
        own = log_shares.gather(-1, self.slots_on(paths)[..., -1:])[..., 0]
        return own.masked_fill(~self.has_code[items], 0.0)

    def _step(
        self, level: int, nodes: torch.Tensor, codes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return where children stand among all of their level, and which of them exist.

        The first result counts the children before; the second is the same, kept in range.
        """
        edges = self._edges[level - 1]
        keys = nodes * self.vocab_sizes[level - 1] + codes
        after = torch.searchsorted(edges, keys)
        at = after.clamp(max=len(edges) - 1)
        return after, at, edges[at] == keys

    @cached_property
    def _edges(self) -> list[torch.Tensor]:
        """Per level (node,) int64 sorted keys ``parent * vocab + code``, for finding children.

        Made on first use, on the device the trie is on then: only looking up needs them.
        """
        edges = []
        for level, size in enumerate(self.vocab_sizes, start=1):
            parents = self.get_buffer(f"parent_{level}")
            edges.append(parents * size + self.get_buffer(f"code_{level}"))
        return edges

    def _keep(self, name: str, values: NDArray[np.generic]) -> None:
        self.register_buffer(name, torch.from_numpy(values), persistent=False)
