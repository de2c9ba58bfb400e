"""From what an outside agent emits to slates: semantic tokens or a continuous hyper-action."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from gymnasium import Space, spaces

from hsrl_pipeline.semantic_ids.code_trie import CodeTrie
from hsrl_pipeline.shapes import PAD_ID, check_shape

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
    the one nearest in code order is taken, and of equally near ones the one of lower code. Items
    already in the slate, or no longer allowed, are passed over. So a valid, unique code is its
    item, an invalid code its closest valid one, and a code that several items share yields them
    one after the other: by their priors, then by number. Items without a code are never shown.

    Args:
        codes: (item, level) int64. Semantic IDs; -1 in row 0 and for items without a code.
        vocab_sizes: Vocabulary size of each level.
        slate_size: Items per slate, K.
        shelves: (item,) int64. Shelf of each item; slots are bound to shelves in equal parts, in
            order. None when every slot may take any item.
        device: Torch device of the tokens.
        priors: (item,) float32. The larger one comes first among the items of one code; None for
            equal ones.

    Raises:
        ValueError: A code is out of range, the slate does not divide among the shelves, or there
            are too few items with a code.
    """

    def __init__(
        self,
        codes: np.ndarray,
        vocab_sizes: tuple[int, ...],
        slate_size: int,
        shelves: np.ndarray | None = None,
        device: torch.device | str = "cpu",
        *,
        priors: np.ndarray | None = None,
    ) -> None:
        self.space: Space[np.ndarray] = spaces.MultiDiscrete(np.tile(vocab_sizes, slate_size))
        self._slate_size = slate_size
        self._trie = CodeTrie(codes, vocab_sizes, shelves, priors)
        items = self._trie.leaf_items.numpy()
        sizes = self._trie.n_items_below(0).numpy()
        n_shelves = 1 if shelves is None else len(np.unique(shelves[1:]))
        if slate_size % n_shelves:
            raise ValueError(f"slate_size {slate_size} does not divide among {n_shelves} shelves")
        self._share = slate_size // n_shelves
        fewest = sizes.min() if len(sizes) == n_shelves else 0
        if fewest < self._share:
            raise ValueError(f"{fewest} items have a code, a slate needs {self._share}")

        code = self._trie.get_buffer(f"parent_{self._trie.n_levels + 1}").numpy()
        order = np.lexsort((items, -self._trie.log_shares.numpy()[items], code))
        ends = np.cumsum(sizes)
        slot_shelf = np.repeat(np.arange(n_shelves), self._share)
        self._trie.to(device)
        self._items = torch.as_tensor(items[order], device=device)
        self._codes = torch.as_tensor(codes[items[order]], device=device)
        self._slot_roots = torch.as_tensor(slot_shelf, device=device)
        self._slot_starts = torch.as_tensor((ends - sizes)[slot_shelf][:, None], device=device)
        self._slot_ends = torch.as_tensor(ends[slot_shelf][:, None], device=device)
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
            ValueError: A token is no whole number, or is out of range; names row and position.
        """
        check_shape("actions", actions, len(shown), self._slate_size * len(self._vocab_sizes))
        if actions.is_floating_point():
            raise ValueError(f"actions have dtype {actions.dtype}, expected whole numbers")
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
        places = self._trie.places_of(tokens, self._slot_roots.expand(tokens.shape[:2]))
        offsets = torch.arange(-n_taken - 1, n_taken + 1, device=places.device)
        rows = places[:, :, None] + offsets
        inside = (rows >= self._slot_starts) & (rows < self._slot_ends)
        rows = rows.clamp(0, len(self._items) - 1)
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
