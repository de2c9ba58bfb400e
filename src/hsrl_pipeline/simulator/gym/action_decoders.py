"""From what an outside agent emits to slates: semantic tokens or a continuous hyper-action."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from gymnasium import Space, spaces

from hsrl_pipeline.shapes import PAD_ID, check_shape

LARGEST_KEY = 2**62
"""Codes are compared as one integer each, which must not overflow."""

NEVER = -(2**62)
"""Score of what may not be chosen."""


class ActionDecoder(Protocol):
    """Turns a batch of foreign actions into valid slates."""

    space: Space[np.ndarray]

    def decode(self, actions: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        """Return (batch, slate) int64 slates of distinct items that may be shown."""
        ...


class SemanticTokenDecoder:
    """One semantic ID per slot; every combination of tokens stands for some item.

    A slot's tokens name the item whose code shares the longest prefix with them. Among several,
    the one nearest in code order is taken, and of equally near ones the one of lower code, then
    lower number. Items already in the slate, or no longer allowed, are passed over. So a valid,
    unique code is its item, an invalid code its closest valid one, and a code that several items
    share yields them one after the other. Items without a code are never shown.

    Args:
        codes: (item, level) int64. Semantic IDs; -1 in row 0 and for items without a code.
        vocab_sizes: Vocabulary size of each level.
        slate_size: Items per slate, K.
        shelves: (item,) int64. Shelf of each item; slots are bound to shelves in equal parts, in
            order. None when every slot may take any item.
        device: Torch device of the tokens.

    Raises:
        ValueError: The vocabulary is too large, the slate does not divide among the shelves, or
            there are too few items with a code.
    """

    def __init__(
        self,
        codes: np.ndarray,
        vocab_sizes: tuple[int, ...],
        slate_size: int,
        shelves: np.ndarray | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        check_shape("codes", codes, None, len(vocab_sizes))
        self.space: Space[np.ndarray] = spaces.MultiDiscrete(np.tile(vocab_sizes, slate_size))
        self._slate_size = slate_size
        items = np.flatnonzero((codes >= 0).all(axis=1))
        items = items[items != PAD_ID]
        shelf_of = np.zeros(len(codes), dtype=np.int64) if shelves is None else shelves
        names = np.unique(shelf_of[1:])
        n_codes = int(np.prod([float(size) for size in vocab_sizes]))
        if n_codes * (len(names) + 1) > LARGEST_KEY:
            raise ValueError(f"{n_codes} possible codes are too many to be compared as integers")
        if slate_size % len(names):
            raise ValueError(f"slate_size {slate_size} does not divide among {len(names)} shelves")
        strides = np.cumprod([1, *vocab_sizes[:0:-1]])[::-1]
        keys = codes[items] @ strides
        rank = np.searchsorted(names, shelf_of[items])
        order = np.lexsort((items, keys, rank))
        sizes = np.bincount(rank, minlength=len(names))
        self._share = slate_size // len(names)
        if sizes.min() < self._share:
            raise ValueError(f"{sizes.min()} items have a code, a slate needs {self._share}")

        ends = np.cumsum(sizes)
        slot_shelf = np.repeat(np.arange(len(names)), self._share)
        self._items = torch.as_tensor(items[order], device=device)
        self._codes = torch.as_tensor(codes[items[order]], device=device)
        self._keys = torch.as_tensor((rank * n_codes + keys)[order], device=device)
        self._slot_keys = torch.as_tensor(slot_shelf * n_codes, device=device)
        self._slot_starts = torch.as_tensor((ends - sizes)[slot_shelf][:, None], device=device)
        self._slot_ends = torch.as_tensor(ends[slot_shelf][:, None], device=device)
        self._strides = torch.as_tensor(strides.copy(), device=device)
        self._vocab_sizes = torch.as_tensor(vocab_sizes, device=device)

    def decode(self, actions: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        """Return the slates that tokens stand for.

        Args:
            actions: (batch, slate * level) int64. Tokens in ``[0, V_level)``, slot by slot.
            shown: (batch, shown) int64. Items that may not be shown, filled with PAD_ID; width 0
                when all may.

        Returns:
            (batch, slate) int64. Distinct items.

        Raises:
            ValueError: A token is out of range; names row and position.
        """
        check_shape("actions", actions, len(shown), self._slate_size * len(self._strides))
        tokens = actions.to(torch.int64).view(len(actions), self._slate_size, -1)
        outside = (tokens < 0) | (tokens >= self._vocab_sizes)
        if bool(outside.any()):
            row, position = outside.flatten(1).nonzero()[0].tolist()
            token = int(actions[row, position])
            raise ValueError(f"actions[{row}, {position}] is {token}, outside its vocabulary")
        items, scores = self._neighbours(tokens, shown.shape[1] + self._slate_size)
        # Columns of ``taken`` fill up slot by slot; PAD_ID in the free ones is no item's number.
        taken = torch.nn.functional.pad(shown, (0, self._slate_size), value=PAD_ID)
        for slot in range(self._slate_size):
            used = (items[:, slot, :, None] == taken[:, None, :]).any(dim=2)
            best = scores[:, slot].masked_fill(used, NEVER).argmax(dim=1, keepdim=True)
            taken[:, shown.shape[1] + slot] = items[:, slot].gather(1, best).squeeze(1)
        return taken[:, shown.shape[1] :]

    def _neighbours(self, tokens: torch.Tensor, n_taken: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the items around each slot's code in sorted order, and how close they are.

        Moving away from a code in sorted order, the shared prefix only gets shorter. Of as many
        neighbours on either side as items can be taken, one more at least holds the best free one.

        Args:
            tokens: (batch, slate, level) int64.
            n_taken: Most items that can be taken when a slot is filled.

        Returns:
            items: (batch, slate, neighbour) int64.
            scores: (batch, slate, neighbour) int64. Shared prefix first, then nearness; ``NEVER``
                outside the slot's shelf.
        """
        keys = (tokens * self._strides).sum(dim=2) + self._slot_keys
        offsets = torch.arange(-n_taken - 1, n_taken + 1, device=keys.device)
        rows = torch.searchsorted(self._keys, keys)[:, :, None] + offsets
        inside = (rows >= self._slot_starts) & (rows < self._slot_ends)
        rows = rows.clamp(0, len(self._keys) - 1)
        shared = (self._codes[rows] == tokens[:, :, None]).cumprod(dim=3).sum(dim=3)
        # Sorted rows at and after the code's place are 0, 1, ... away, those before it 1, 2, ...
        scores = shared * len(offsets) - offsets.abs()
        return self._items[rows], scores.masked_fill(~inside, NEVER)


class HyperActionDecoder:
    """A point in item-vector space; the items of largest dot product with it form the slate.

    Args:
        item_vectors: (item, embed) float32. Row 0 is padding; scaled to unit length here.
        slate_size: Items per slate, K.
        shelves: (item,) int64. Shelf of each item; None when every slot may take any item.
        device: Torch device of the actions.

    References:
        Liu et al. 2023, "Exploration and Regularization of the Latent Action Space in
        Recommendation" (hyper-actions).
    """

    def __init__(
        self,
        item_vectors: np.ndarray,
        slate_size: int,
        shelves: np.ndarray | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        check_shape("item_vectors", item_vectors, None, None)
        width = item_vectors.shape[1]
        self.space: Space[np.ndarray] = spaces.Box(-1.0, 1.0, (width,), np.float32)
        vectors = torch.as_tensor(item_vectors, dtype=torch.float32, device=device)
        self._vectors = torch.nn.functional.normalize(vectors, dim=1)
        shelf_of = np.ones(len(item_vectors), dtype=np.int64) if shelves is None else shelves
        names = np.unique(shelf_of[1:])
        if slate_size % len(names):
            raise ValueError(f"slate_size {slate_size} does not divide among {len(names)} shelves")
        self._share = slate_size // len(names)
        real = np.arange(len(shelf_of)) != PAD_ID
        self._groups = [
            torch.as_tensor(np.flatnonzero((shelf_of == name) & real), device=device)
            for name in names
        ]

    def decode(self, actions: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        """Return the slates that points in item-vector space stand for.

        Args:
            actions: (batch, embed) float32. Finite; only the direction matters.
            shown: (batch, shown) int64. Items that may not be shown, filled with PAD_ID; width 0
                when all may.

        Returns:
            (batch, slate) int64. Distinct items, best first on each shelf.

        Raises:
            ValueError: A number is not finite; names row and position.
        """
        check_shape("actions", actions, len(shown), self._vectors.shape[1])
        finite = actions.isfinite()
        if not bool(finite.all()):
            row, position = (~finite).nonzero()[0].tolist()
            raise ValueError(f"actions[{row}, {position}] is {float(actions[row, position])}")
        scores = (actions.to(torch.float32) @ self._vectors.T).scatter(1, shown, -torch.inf)
        best = [group[scores[:, group].topk(self._share).indices] for group in self._groups]
        return torch.cat(best, dim=1)
