"""The frozen codebook: centroids, the item-to-SID table, its version, and catalogue churn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.semantic_ids.collisions import assign_codes
from hsrl_pipeline.semantic_ids.nearest import CodeArray, FloatArray
from hsrl_pipeline.semantic_ids.residual_quantizer import ResidualQuantizer, check_vectors
from hsrl_pipeline.shapes import PAD_ID, check_shape

if TYPE_CHECKING:
    from hsrl_pipeline.semantic_ids.code_trie import CodeTrie

NO_CODE = -1
"""Code of the padding row, of items that have no SID yet, and of those whose SID was freed."""


@dataclass(frozen=True)
class Codebook:
    """Semantic IDs of a catalogue and the frozen quantizer that makes new ones.

    Attributes:
        quantizer: Centroids of the levels that come from vectors.
        codes: (item, level) int64. Semantic IDs in ``[0, vocab_sizes[level])``; row 0, items
            without a SID and those whose SID was freed are ``NO_CODE`` on all levels. One column
            more than the quantizer has levels with ``collisions == "suffix"``.
        vocab_sizes: Codes per column of ``codes``; policy heads take their sizes from here.
        collisions: How items under one code are treated: ``keep``, ``reassign`` or ``suffix``.
        metadata: JSON-able provenance: dataset version, seed, settings.
    """

    quantizer: ResidualQuantizer
    codes: CodeArray
    vocab_sizes: tuple[int, ...]
    collisions: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_shape("codes", self.codes, None, len(self.vocab_sizes))
        live = self.codes[self.codes[:, 0] != NO_CODE]
        if len(self.codes) == 0 or (self.codes[PAD_ID] != NO_CODE).any():
            raise ValueError(f"row {PAD_ID} of codes must be {NO_CODE} on all levels")
        if ((live < 0) | (live >= np.asarray(self.vocab_sizes))).any():
            raise ValueError("codes lie outside their level's vocabulary")

    @classmethod
    def build(
        cls,
        quantizer: ResidualQuantizer,
        vectors: FloatArray,
        *,
        collisions: str = "reassign",
        suffix_vocab_size: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        items: NDArray[np.int64] | None = None,
    ) -> Codebook:
        """Return the codebook of a catalogue.

        Args:
            quantizer: Fitted centroids.
            vectors: (item, embed) float32. Row 0 is padding and gets no code.
            collisions: ``keep``, ``reassign`` or ``suffix``.
            suffix_vocab_size: Codes of the level that ``suffix`` adds; ``None`` for twice the
                largest group, so that new items find room.
            metadata: JSON-able provenance.
            items: (row,) int64. Items that get a code; the others have none yet, see
                ``assign_items``. None for all.

        Raises:
            UserError: A vector is unusable, or there are too few codes for the items.
        """
        rows = np.arange(1, len(vectors)) if items is None else items
        assigned, vocab_sizes = assign_codes(
            quantizer, vectors[rows], collisions=collisions, suffix_vocab_size=suffix_vocab_size
        )
        codes = np.full((len(vectors), len(vocab_sizes)), NO_CODE, dtype=np.int64)
        codes[rows] = assigned
        return cls(
            quantizer=quantizer,
            codes=codes,
            vocab_sizes=vocab_sizes,
            collisions=collisions,
            metadata=dict(metadata or {}),
        )

    @property
    def n_levels(self) -> int:
        """Levels of a semantic ID, a suffix level included."""
        return len(self.vocab_sizes)

    @property
    def n_items(self) -> int:
        """Largest item index; released items are counted."""
        return len(self.codes) - 1

    @cached_property
    def version(self) -> str:
        """Hash of centroids, offsets and codes: 12 hexadecimal digits."""
        digest = hashlib.sha256(repr((self.vocab_sizes, self.collisions)).encode())
        for level in self.quantizer.levels:
            for array in (level.centroids, level.offsets):
                digest.update(repr(array.shape).encode())
                digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        digest.update(np.ascontiguousarray(self.codes, dtype="<i8").tobytes())
        return digest.hexdigest()[:12]

    @cached_property
    def _trie(self) -> CodeTrie:
        # a codebook that is only fitted or stored does without torch
        from hsrl_pipeline.semantic_ids.code_trie import CodeTrie

        return CodeTrie(self.codes, self.vocab_sizes)

    def encode(self, vectors: FloatArray) -> CodeArray:
        """Return the codes that the centroids alone give, collisions not looked at.

        Args:
            vectors: (row, embed) float32. Finite.

        Returns:
            (row, level) int64 over the quantizer's levels.

        Raises:
            UserError: The width is not the codebook's, or a row holds NaN or infinity.
        """
        return self.quantizer.encode(vectors)

    def codes_of(self, items: NDArray[np.int64]) -> CodeArray:
        """Return the semantic IDs of items.

        Args:
            items: (...,) int64. Item indices in ``[1, n_items]``.

        Returns:
            (..., level) int64.

        Raises:
            UserError: An item is unknown, padding or was released: there is no default code.
        """
        items = np.asarray(items)
        outside = (items <= PAD_ID) | (items > self.n_items)
        without = outside | (self.codes[np.where(outside, 0, items), 0] == NO_CODE)
        if without.any():
            raise UserError(
                f"{int(without.sum())} items have no semantic ID, the first is item "
                f"{int(items[without].flat[0])}",
                remedy="Add new items with add_items; released items stay without a code.",
            )
        return self.codes[items]

    def lookup(self, codes: CodeArray) -> NDArray[np.int64]:
        """Return all items under each semantic ID, ``S(z)`` (paper, Eq. 9 and App. E).

        Args:
            codes: (batch, level) int64.

        Returns:
            (batch, group) int64. Item indices ascending, right-padded with PAD_ID; a row of
            PAD_ID alone when no item has that code. ``group`` is the largest set of all items.
        """
        check_shape("codes", codes, None, self.n_levels)
        if (self.codes == NO_CODE).all():
            return np.full((len(codes), 1), PAD_ID, dtype=np.int64)
        from torch import as_tensor

        found: NDArray[np.int64] = self._trie.lookup(as_tensor(codes)).numpy()
        return found

    def add_items(
        self, vectors: FloatArray, provenance: Mapping[str, Any] | None = None
    ) -> Codebook:
        """Return a codebook with new items at the end of the table; no other SID changes.

        Args:
            vectors: (row, embed) float32. New items in the order of their indices
                ``n_items + 1, n_items + 2, ...``.
            provenance: JSON-able facts that replace those of the old codebook:
                ``dataset_version`` and ``item_vectors_version`` of what it serves from now on.

        Raises:
            UserError: A vector is unusable, or no code is free for a new item.
        """
        added = self._free_codes(vectors)
        return self._with_codes(np.concatenate([self.codes, added]), provenance)

    def assign_items(self, items: NDArray[np.int64], vectors: FloatArray) -> Codebook:
        """Return a codebook in which items that had no SID have one; no other SID changes.

        In a catalogue that moves an item keeps its SID when it leaves the live items, so that it
        can come back: nothing is to be done here for items that leave or return.

        Args:
            items: (row,) int64. Item indices in ``[1, n_items]``, each once.
            vectors: (row, embed) float32. Their vectors, made like those of the others.

        Raises:
            UserError: An item does not exist, is named twice or has a SID, a vector is unusable,
                or no code is free.
        """
        check_shape("vectors", vectors, len(items), None)
        outside = (items <= PAD_ID) | (items > self.n_items)
        if outside.any():
            raise UserError(f"Item {items[outside][0]} is not among the {self.n_items} items")
        has_one = self.codes[items, 0] != NO_CODE
        once, first = np.unique(items, return_index=True)
        if has_one.any() or len(once) < len(items):
            twice = np.setdiff1d(np.arange(len(items)), first)
            problem = (
                f"Item {items[has_one][0]} has a semantic ID"
                if has_one.any()
                else f"Item {items[twice][0]} is named twice"
            )
            raise UserError(
                problem,
                remedy="Give a semantic ID once to each item that has none: it never changes.",
            )
        codes = self.codes.copy()
        codes[items] = self._free_codes(vectors)
        return self._with_codes(codes)

    def _free_codes(self, vectors: FloatArray) -> CodeArray:
        """Return the codes of new items, those of others being taken."""
        added, _ = assign_codes(
            self.quantizer,
            check_vectors(vectors, self.quantizer.embedding_size),
            collisions=self.collisions,
            taken=self.codes[self.codes[:, 0] != NO_CODE],
            suffix_vocab_size=self.vocab_sizes[-1] if self.collisions == "suffix" else None,
        )
        return added

    def release_items(self, items: NDArray[np.int64]) -> Codebook:
        """Return a codebook in which the given items have no SID, so that others may take theirs.

        Args:
            items: (row,) int64. Item indices in ``[1, n_items]`` that have a code.

        Raises:
            UserError: An item is unknown or already without a code.
        """
        self.codes_of(items)
        codes = self.codes.copy()
        codes[items] = NO_CODE
        return self._with_codes(codes)

    def _with_codes(
        self, codes: CodeArray, provenance: Mapping[str, Any] | None = None
    ) -> Codebook:
        return Codebook(
            quantizer=self.quantizer,
            codes=codes,
            vocab_sizes=self.vocab_sizes,
            collisions=self.collisions,
            metadata={**self.metadata, **(provenance or {}), "parent_version": self.version},
        )
