"""The items that may be shown at one version of the catalogue, and what is known of each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.shapes import PAD_ID, check_dtype, check_shape

UNPUBLISHED = -1
"""Code of padding and of items whose semantic ID nobody has published yet."""


@dataclass(frozen=True, eq=False)
class LiveCatalogue:
    """One version of the catalogue.

    All tables have one row per item of the universe, so an item keeps its index for good: while it
    is unknown, live, released, and when it returns. A published vector and semantic ID never
    change. What is not yet published is zero or ``UNPUBLISHED``, so nobody can learn from it.

    Attributes:
        live: (item,) bool. Items that may be shown; row 0 is False. Each has a semantic ID.
        item_vectors: (item, embed) float32. Row 0 and items never published are zero.
        codes: (item, level) int64. Semantic IDs; row 0 and items never published are
            ``UNPUBLISHED`` on all levels, released items keep theirs.

    Raises:
        ValueError: Shape or type of a table is wrong, row 0 is not padding, or a live item has no
            semantic ID.
    """

    live: NDArray[np.bool_]
    item_vectors: NDArray[np.float32]
    codes: NDArray[np.int64]

    def __post_init__(self) -> None:
        check_dtype("live", self.live, "bool")
        check_dtype("item_vectors", self.item_vectors, "float32")
        check_dtype("codes", self.codes, "int64")
        check_shape("live", self.live, None)
        check_shape("item_vectors", self.item_vectors, len(self.live), None)
        check_shape("codes", self.codes, len(self.live), None)
        if len(self.live) == 0 or self.live[PAD_ID]:
            raise ValueError(f"row {PAD_ID} of live must be False: it is padding")
        without = self.live & ~self.published
        if without.any():
            raise ValueError(f"item {int(without.argmax())} is live and has no semantic ID")

    def with_rows(self, n_rows: int) -> LiveCatalogue:
        """Return the version with further items at the end that nobody has published yet.

        Args:
            n_rows: Number of items to add.
        """
        vectors, codes = self.item_vectors, self.codes
        return LiveCatalogue(
            np.concatenate([self.live, np.zeros(n_rows, bool)]),
            np.concatenate([vectors, np.zeros((n_rows, vectors.shape[1]), vectors.dtype)]),
            np.concatenate([codes, np.full((n_rows, codes.shape[1]), UNPUBLISHED, codes.dtype)]),
        )

    @property
    def n_items(self) -> int:
        """Number of items of the universe."""
        return len(self.live) - 1

    @cached_property
    def published(self) -> NDArray[np.bool_]:
        """(item,) bool. Items whose vector and semantic ID are known, released ones included."""
        return np.asarray((self.codes != UNPUBLISHED).all(axis=1))

    @cached_property
    def live_items(self) -> NDArray[np.int64]:
        """(live_item,) int64. Live items in ascending order."""
        return np.flatnonzero(self.live)

    @cached_property
    def version(self) -> str:
        """Hash of the live set and of all that is published: 12 hexadecimal digits."""
        digest = hashlib.sha256(np.packbits(self.live).tobytes())
        for table, form in ((self.item_vectors, "<f4"), (self.codes, "<i8")):
            digest.update(repr(table.shape).encode())
            digest.update(np.ascontiguousarray(table, dtype=form).data)
        return digest.hexdigest()[:12]
