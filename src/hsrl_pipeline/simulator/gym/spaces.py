"""Gymnasium spaces of slates and of observations."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.shapes import PAD_ID
from hsrl_pipeline.simulator.gym.action_arrays import action_tensor


class SlateSpace(spaces.MultiDiscrete[np.int64]):
    """Slates of distinct items, where shelves are enforced with each slot on its own shelf.

    Args:
        n_items: Number of real items; slots hold 1 to ``n_items``.
        slate_size: Items per slate, K.
        shelves: (item,) int64. Shelf of each item, row 0 is 0; None without shelves.
        batch: Number of slates in a sample; None for a single one.
        seed: Seed of ``sample``.
    """

    def __init__(
        self,
        n_items: int,
        slate_size: int,
        shelves: NDArray[np.int64] | None = None,
        batch: int | None = None,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        self.n_items = n_items
        self.slate_size = slate_size
        self.shelves = shelves
        self.live: NDArray[np.bool_] | None = None
        shape = (slate_size,) if batch is None else (batch, slate_size)
        super().__init__(
            np.full(shape, n_items, dtype=np.int64),
            np.int64,
            seed,
            np.full(shape, PAD_ID + 1, dtype=np.int64),
        )

    def set_live(self, live: NDArray[np.bool_]) -> None:
        """Hold slates of live items alone from now on.

        Args:
            live: (item,) bool. Row 0 is False.
        """
        self.live = live

    def sample(self, mask: Any = None, probability: Any = None) -> NDArray[np.int64]:
        """Return random distinct items, shelf by shelf; without a mask all slates are as likely.

        Args:
            mask: One (item,) int8 array per slot, in a tuple, for items 1 to ``n_items``: 1 where
                the slot may take the item. A slot whose mask is all 0 takes its smallest item.
                With ``batch``, a tuple of such tuples.
            probability: The same with float64 weights that sum to 1 in each slot. An item that
                another slot holds leaves its weight to the others.

        Raises:
            ValueError: Mask and probability are both given, one has another form than said, or
                no slate of distinct items fits it.
        """
        if mask is not None and probability is not None:
            raise ValueError("give mask or probability, not both")
        if mask is not None or probability is not None:
            weights = self._slot_weights(mask, probability)
            slates = [self._sample_weighted(slots) for slots in weights]
            return np.array(slates, dtype=np.int64).reshape(self.shape)
        parts = []
        for items in self._groups():
            keys = self.np_random.random((*self.shape[:-1], len(items)))
            share = self.slate_size // len(self._groups())
            parts.append(items[keys.argsort(axis=-1)[..., :share]])
        return np.concatenate(parts, axis=-1)

    def contains(self, x: Any) -> bool:
        """Return whether all items are known, distinct and on the shelf of their slot.

        Args:
            x: Anything. Arrays, tensors, lists and tuples of whole numbers of any width can be
                slates, everything else can not.
        """
        try:
            slates = action_tensor(x)
        except ValueError:
            return False
        if slates.is_floating_point() or tuple(slates.shape) != self.shape:
            return False
        numbers = slates.numpy()
        if ((numbers <= PAD_ID) | (numbers > self.n_items)).any():
            return False
        ordered = np.sort(numbers, axis=-1)
        if (ordered[..., 1:] == ordered[..., :-1]).any():
            return False
        groups = self._groups()
        share = self.slate_size // len(groups)
        return all(
            bool(np.isin(numbers[..., slot * share : (slot + 1) * share], items).all())
            for slot, items in enumerate(groups)
        )

    def _slot_weights(self, mask: Any, probability: Any) -> NDArray[np.float64]:
        """Return (batch, slate, item) float64: how much each slot wants each item from 1 on."""
        name, given = "mask", mask
        kind: np.dtype[Any] = np.dtype(np.int8)
        if mask is None:
            name, given, kind = "probability", probability, np.dtype(np.float64)
        shape = (*self.shape, self.n_items)
        try:
            weights = np.array(given)
        except ValueError:
            weights = np.zeros(0)
        if not isinstance(given, tuple) or weights.shape != shape or weights.dtype != kind:
            raise ValueError(f"{name} is no tuple of one ({self.n_items},) {kind} array per slot")
        weights = weights.astype(np.float64)
        sums = weights.sum(axis=-1)
        fits = np.isin(weights, (0, 1)) if mask is not None else weights >= 0
        if not fits.all() or (mask is None and not np.allclose(sums, 1)):
            rule = "0 or 1" if mask is not None else "at least 0, with a sum of 1 in each slot"
            raise ValueError(f"{name} holds numbers that are not {rule}")
        groups = self._groups()
        share = self.slate_size // len(groups)
        for number, items in enumerate(groups):
            slots = np.arange(number * share, (number + 1) * share)
            empty = np.zeros_like(weights[..., slots, :])
            empty[..., items[0] - 1] = sums[..., slots] == 0
            allowed = np.isin(np.arange(1, self.n_items + 1), items)
            weights[..., slots, :] = weights[..., slots, :] * allowed + empty
        return weights.reshape(-1, *shape[-2:])

    def _sample_weighted(self, weights: NDArray[np.float64]) -> list[int]:
        """Return one item per slot, all distinct; a slot that is left without makes others move.

        Args:
            weights: (slate, item) float64. From item 1 on.
        """
        holder: dict[int, int] = {}
        wishes = []
        for row in weights:
            items = np.flatnonzero(row > 0)
            # the item with the smallest of these keys is any one with its share of the weight
            keys = self.np_random.standard_exponential(len(items)) / row[items]
            wishes.append((items[keys.argsort()] + 1).tolist())

        def seat(slot: int, asked: set[int]) -> bool:
            for item in wishes[slot]:
                if item not in asked and item not in holder:
                    holder[item] = slot
                    return True
            for item in wishes[slot]:
                if item not in asked:
                    asked.add(item)
                    if seat(holder[item], asked):
                        holder[item] = slot
                        return True
            return False

        for slot in self.np_random.permutation(len(wishes)).tolist():
            if not seat(slot, set()):
                raise ValueError("no slate of distinct items fits what the slots may take")
        slots = {slot: item for item, slot in holder.items()}
        return [slots[slot] for slot in range(len(wishes))]

    def _groups(self) -> list[NDArray[np.int64]]:
        """Return the live items of each shelf, or all live ones as one."""
        if self.shelves is None:
            groups = [np.arange(1, self.n_items + 1)]
        else:
            names = np.unique(self.shelves[1:])
            groups = [np.flatnonzero(self.shelves == name) for name in names if name]
        return groups if self.live is None else [items[self.live[items]] for items in groups]

    def __repr__(self) -> str:
        return f"SlateSpace(n_items={self.n_items}, shape={self.shape})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SlateSpace)
            and super().__eq__(other)
            and np.array_equal(self._shelf_table(), other._shelf_table())
        )

    __hash__ = None  # type: ignore[assignment]  # like every Gymnasium space that compares arrays

    def _shelf_table(self) -> NDArray[np.int64]:
        return np.zeros(0, dtype=np.int64) if self.shelves is None else self.shelves


@batch_space.register(SlateSpace)
def _batch_slate_space(space: SlateSpace, n: int = 1) -> SlateSpace:
    # a generator of its own, as in Gymnasium's spaces: one space's samples leave the other's alone
    generator = copy.deepcopy(space.np_random)
    return SlateSpace(space.n_items, space.slate_size, space.shelves, n, generator)


def observation_space(
    first: Observation, category_sizes: tuple[int, ...], n_items: int, horizon: int
) -> spaces.Dict:
    """Return the space of one session's observation as plain arrays.

    Args:
        first: Any observation; its widths are read. Fields of width 0 are left out.
        category_sizes: Cardinality of each categorical user feature.
        n_items: Number of real items.
        horizon: Longest session in steps.
    """
    fields: dict[str, spaces.Space[Any]] = {}
    if category_sizes:
        fields["user_categories"] = spaces.MultiDiscrete(np.array(category_sizes))
    if first.user_dense.shape[1]:
        width = first.user_dense.shape[1]
        fields["user_dense"] = spaces.Box(-np.inf, np.inf, (width,), np.float32)
    fields["history"] = spaces.Box(0, n_items, (first.history.shape[1],), np.int64)
    fields["step"] = spaces.Box(0, horizon, (1,), np.int64)
    if first.shown.shape[1]:
        fields["shown"] = spaces.Box(0, n_items, (first.shown.shape[1],), np.int64)
    if first.responses.shape[1]:
        fields["responses"] = spaces.Box(0, 1, (first.responses.shape[1],), np.int64)
    return spaces.Dict(fields)
