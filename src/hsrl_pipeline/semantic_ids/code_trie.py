"""The catalogue as a trie of semantic IDs, in tensors that decoding walks down."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hsrl_pipeline.shapes import PAD_ID, check_shape


class CodeTrie(nn.Module):
    """Valid prefixes of semantic IDs, level by level, down to the items of each code.

    Level 0 holds one root per shelf (a single one without shelves), level ``l`` the distinct
    prefixes of ``l`` codes, and the last level, ``L + 1``, the items themselves: items that share
    a code are its children. The children of a node have consecutive numbers, so a child is a
    node's first child plus a slot. Only prefixes that lead to an item exist.

    Args:
        codes: (item, level) int64. Semantic IDs, row 0 all -1. An item whose codes are all -1 has
            no semantic ID: the trie doesn't hold it and it is never recommended.
        vocab_sizes: Number of codes per level.
        shelves: (item,) int64 or None. Shelf of each item from 1; row 0 is 0.

    Raises:
        ValueError: A code lies outside its level's vocabulary; names item and level.
    """

    item_nodes: torch.Tensor
    item_slots: torch.Tensor
    leaf_items: torch.Tensor
    has_code: torch.Tensor

    def __init__(
        self,
        codes: NDArray[np.int64],
        vocab_sizes: tuple[int, ...],
        shelves: NDArray[np.int64] | None = None,
    ) -> None:
        super().__init__()
        live = check_codes(codes, vocab_sizes)
        real = codes[live]
        self.n_items = len(codes) - 1
        self.n_levels = len(vocab_sizes)
        shelf = np.ones(len(live), np.int64) if shelves is None else shelves[live]
        names, root = np.unique(shelf, return_inverse=True)
        self.n_roots = len(names)
        node = root.ravel().astype(np.int64)
        nodes, slots, widths = [node], [], []
        steps = [*real.T, live]
        for level, code in enumerate(steps, start=1):
            n_parents = int(node.max()) + 1
            pairs, child = np.unique(np.stack([node, code], 1), axis=0, return_inverse=True)
            n_children = np.bincount(pairs[:, 0], minlength=n_parents)
            first = np.concatenate([[0], n_children.cumsum()[:-1]])
            child = child.ravel().astype(np.int64)
            slots.append(child - first[node])
            widths.append(int(n_children.max()))
            self._keep(f"first_{level}", first)
            self._keep(f"n_children_{level}", n_children)
            self._keep(f"code_{level}", pairs[:, 1])
            node = child
            nodes.append(node)
        self.widths = tuple(widths)
        self._keep("item_nodes", _by_item(nodes, live, len(codes)))
        self._keep("item_slots", _by_item(slots, live, len(codes)))
        self._keep("leaf_items", live[np.argsort(node)])
        has_code = np.zeros(len(codes), bool)
        has_code[live] = True
        self._keep("has_code", has_code)

    def branches(
        self, level: int, nodes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the children of nodes.

        Args:
            level: Level of the children, from 1; ``L + 1`` gives the items of codes.
            nodes: (...) int64. Nodes of level ``level - 1``.

        Returns:
            children: (..., slot) int64. Node numbers; 0 where the slot is empty.
            codes: (..., slot) int64. The code each child adds, for ``level <= L``.
            valid: (..., slot) bool. False where the slot is empty.
        """
        slots = torch.arange(self.widths[level - 1], device=nodes.device)
        valid = slots < self.get_buffer(f"n_children_{level}")[nodes].unsqueeze(-1)
        first = self.get_buffer(f"first_{level}")[nodes].unsqueeze(-1)
        children = (first + slots).masked_fill_(~valid, 0)
        return children, self.get_buffer(f"code_{level}")[children], valid

    def n_children(self, level: int, nodes: torch.Tensor) -> torch.Tensor:
        """Return (...) int64, how many children of ``level`` the nodes above it have."""
        return self.get_buffer(f"n_children_{level}")[nodes]

    def _keep(self, name: str, values: NDArray[np.int64] | NDArray[np.bool_]) -> None:
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values)), persistent=False)


def check_codes(codes: NDArray[np.int64], vocab_sizes: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the items that have a semantic ID.

    Args:
        codes: (item, level) int64. Semantic IDs, row 0 all -1; so are items without one.
        vocab_sizes: Number of codes per level.

    Returns:
        (live,) int64. Item indices, ascending.

    Raises:
        ValueError: A code lies outside its level's vocabulary, or no item has a semantic ID.
    """
    check_shape("codes", codes, None, len(vocab_sizes))
    absent = (codes == -1).all(axis=1)
    absent[PAD_ID] = True
    wrong = ((codes < 0) | (codes >= np.asarray(vocab_sizes))) & ~absent[:, None]
    if wrong.any():
        item, level = np.argwhere(wrong)[0]
        raise ValueError(
            f"item {item} has code {codes[item, level]} at level {level + 1}, "
            f"expected one in [0, {vocab_sizes[level]})"
        )
    if absent.all():
        raise ValueError("no item has a semantic ID")
    return np.flatnonzero(~absent)


def _by_item(
    columns: list[NDArray[np.int64]], live: NDArray[np.int64], rows: int
) -> NDArray[np.int64]:
    """Return (item, column) with zeros for padding and items without a semantic ID."""
    table = np.zeros((rows, len(columns)), np.int64)
    table[live] = np.stack(columns, axis=1)
    return table
