"""Gymnasium spaces of slates and of observations."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.shapes import PAD_ID


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
        shape = (slate_size,) if batch is None else (batch, slate_size)
        super().__init__(
            np.full(shape, n_items, dtype=np.int64),
            np.int64,
            seed,
            np.full(shape, PAD_ID + 1, dtype=np.int64),
        )

    def sample(self, mask: Any = None, probability: Any = None) -> NDArray[np.int64]:
        """Return uniformly random distinct items, shelf by shelf.

        Raises:
            ValueError: A mask is given: slots are not independent of each other.
        """
        if mask is not None or probability is not None:
            raise ValueError("a slate is sampled as a whole: masks by slot are not supported")
        parts = []
        for items in self._groups():
            keys = self.np_random.random((*self.shape[:-1], len(items)))
            share = self.slate_size // len(self._groups())
            parts.append(items[keys.argsort(axis=-1)[..., :share]])
        return np.concatenate(parts, axis=-1)

    def contains(self, x: Any) -> bool:
        """Return whether all items are known, distinct and on the shelf of their slot."""
        if not super().contains(x):
            return False
        ordered = np.sort(x, axis=-1)
        if (ordered[..., 1:] == ordered[..., :-1]).any():
            return False
        groups = self._groups()
        share = self.slate_size // len(groups)
        return all(
            bool(np.isin(x[..., slot * share : (slot + 1) * share], items).all())
            for slot, items in enumerate(groups)
        )

    def _groups(self) -> list[NDArray[np.int64]]:
        """Return the items of each shelf, or all items as one."""
        if self.shelves is None:
            return [np.arange(1, self.n_items + 1)]
        names = np.unique(self.shelves[1:])
        return [np.flatnonzero(self.shelves == name) for name in names if name]

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
    return SlateSpace(space.n_items, space.slate_size, space.shelves, n, space.np_random)


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
