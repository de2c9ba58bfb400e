"""From one version of the catalogue to the next: what arrives, what leaves, what is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.catalogue.live_catalogue import UNPUBLISHED, LiveCatalogue
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.shapes import PAD_ID, check_dtype, check_shape

WHERE = "catalogue change"


@dataclass(frozen=True, eq=False)
class CatalogueChange:
    """Items that become live and items that stop being live, as against one version.

    Attributes:
        version_before: Version of the catalogue that the change is for.
        added: (added,) int64. Items that become live: new ones, and released ones that return.
        released: (released,) int64. Items that leave.
    """

    version_before: str
    added: NDArray[np.int64]
    released: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name in ("added", "released"):
            check_dtype(name, getattr(self, name), "int64")
            check_shape(name, getattr(self, name), None)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CatalogueChange:
        """Return the change held in a dictionary as `to_dict` makes it.

        Raises:
            UserError: A field is missing or unknown, or the items are not whole numbers.
        """
        expected = {"version_before", "added", "released"}
        if set(values) != expected:
            odd = ", ".join(sorted(expected.symmetric_difference(values)))
            raise UserError(
                f"A change has missing or unknown fields: {odd}",
                where=WHERE,
                remedy="Give version_before, added and released.",
            )
        return cls(
            str(values["version_before"]),
            item_indices(values["added"], f"{WHERE}, added"),
            item_indices(values["released"], f"{WHERE}, released"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        return {
            "version_before": self.version_before,
            "added": self.added.tolist(),
            "released": self.released.tolist(),
        }


@dataclass(frozen=True, eq=False)
class Publication:
    """Vectors and semantic IDs of items that nobody has published yet.

    Attributes:
        items: (row,) int64. Item indices.
        item_vectors: (row, embed) float32.
        codes: (row, level) int64. Semantic IDs.
    """

    items: NDArray[np.int64]
    item_vectors: NDArray[np.float32]
    codes: NDArray[np.int64]

    def __post_init__(self) -> None:
        check_dtype("items", self.items, "int64")
        check_shape("items", self.items, None)
        check_shape("item_vectors", self.item_vectors, len(self.items), None)
        check_shape("codes", self.codes, len(self.items), None)

    @classmethod
    def empty(cls, catalogue: LiveCatalogue) -> Publication:
        """Return one of no items, with the widths of a catalogue."""
        return cls(
            np.zeros(0, np.int64), catalogue.item_vectors[:0].copy(), catalogue.codes[:0].copy()
        )

    @classmethod
    def join(cls, parts: Sequence[Publication]) -> Publication:
        """Return the rows of several, one after the other; at least one is needed."""
        return cls(
            np.concatenate([part.items for part in parts]),
            np.concatenate([part.item_vectors for part in parts]),
            np.concatenate([part.codes for part in parts]),
        )

    def to_state(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name, as the state of a checkpoint."""
        return {"items": self.items, "item_vectors": self.item_vectors, "codes": self.codes}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Publication:
        """Return what `to_state` gave, read back from a checkpoint."""
        return cls(**{name: np.asarray(array) for name, array in state.items()})

    def select(self, items: NDArray[np.int64]) -> Publication:
        """Return the rows of some items, in the order of this publication.

        Args:
            items: (any,) int64. Those without a row are passed over.
        """
        rows = np.isin(self.items, items)
        return Publication(self.items[rows], self.item_vectors[rows], self.codes[rows])


def item_indices(values: Any, where: str) -> NDArray[np.int64]:
    """Return item indices read from JSON.

    Args:
        values: A list of whole numbers.
        where: Place to name in the message.

    Returns:
        (item,) int64.

    Raises:
        UserError: It is something else.
    """
    whole = isinstance(values, list) and all(type(value) is int for value in values)
    if not whole:
        raise UserError(
            "Items are not a list of whole numbers", where=where, remedy="Give item indices."
        )
    return np.asarray(values, dtype=np.int64)


def apply_change(
    catalogue: LiveCatalogue,
    change: CatalogueChange,
    publication: Publication | None = None,
    *,
    n_needed: int,
    shelves: NDArray[np.int64] | None = None,
) -> LiveCatalogue:
    """Return the next version of the catalogue; the given one stays as it is.

    An added item that was never published gets its vector and semantic ID here, once for good.
    One that returns has them already. Released items leave the live set and keep both.

    Args:
        catalogue: The version that the change is for.
        change: What arrives and what leaves.
        publication: Vectors and semantic IDs of the added items that have none yet, each once;
            None for no such items.
        n_needed: Live items that sessions need at least; of each shelf, where there are shelves.
        shelves: (item,) int64. Shelf of each item from 1, row 0 is 0; None without shelves.

    Raises:
        UserError: The change is for another version, names an unknown item or one item twice,
            adds a live item or releases one that is not live, leaves too few items, or what is
            published are not exactly the new items with finite vectors and codes of the
            catalogue's widths.
    """
    if change.version_before != catalogue.version:
        raise UserError(
            f"The change is for version {change.version_before} of the catalogue, "
            f"this is {catalogue.version}",
            where=WHERE,
            remedy="Make the change anew from the catalogue as it is now.",
        )
    _refuse_items(catalogue, change)
    published = Publication.empty(catalogue) if publication is None else publication
    _refuse_publication(catalogue, change, published)
    live = catalogue.live.copy()
    live[change.added] = True
    live[change.released] = False
    refuse_shortage(live, n_needed, shelves, WHERE)
    item_vectors, codes = catalogue.item_vectors, catalogue.codes
    if len(published.items):
        item_vectors, codes = item_vectors.copy(), codes.copy()
        item_vectors[published.items] = published.item_vectors
        codes[published.items] = published.codes
    return LiveCatalogue(live, item_vectors, codes)


def refuse_shortage(
    live: NDArray[np.bool_], n_needed: int, shelves: NDArray[np.int64] | None, where: str
) -> None:
    """Refuse a live set that sessions can't be made of.

    Args:
        live: (item,) bool. Row 0 is False.
        n_needed: Live items needed; of each shelf, where there are shelves.
        shelves: (item,) int64. Shelf of each item from 1, row 0 is 0; None without shelves.
        where: Place to name in the message.

    Raises:
        UserError: There are too few live items, or too few on a shelf.
    """
    names = np.zeros(1, np.int64) if shelves is None else np.unique(shelves[1:])
    of = np.zeros(len(live), np.int64) if shelves is None else shelves
    counts = np.array([np.count_nonzero(live & (of == name)) for name in names])
    if counts.min() < n_needed:
        place = "" if shelves is None else f" on shelf {names[counts.argmin()]}"
        raise UserError(
            f"{counts.min()} live items{place} are left, sessions need {n_needed}",
            where=where,
            remedy="Release fewer items, or add some.",
        )


def _refuse_items(catalogue: LiveCatalogue, change: CatalogueChange) -> None:
    named = np.concatenate([change.added, change.released])
    unknown = (named <= PAD_ID) | (named > catalogue.n_items)
    if unknown.any():
        raise UserError(
            f"Item {named[unknown][0]} does not exist: items are numbered 1 to {catalogue.n_items}",
            where=WHERE,
        )
    once, counts = np.unique(named, return_counts=True)
    if (counts > 1).any():
        raise UserError(
            f"Item {once[counts.argmax()]} is named {counts.max()} times",
            where=WHERE,
            remedy="Name each item once, as added or as released.",
        )
    already = change.added[catalogue.live[change.added]]
    if len(already):
        raise UserError(
            f"{len(already)} added items are live already, the first is item {already[0]}",
            where=f"{WHERE}, added",
        )
    absent = change.released[~catalogue.live[change.released]]
    if len(absent):
        raise UserError(
            f"{len(absent)} released items are not live, the first is item {absent[0]}",
            where=f"{WHERE}, released",
        )


def _refuse_publication(
    catalogue: LiveCatalogue, change: CatalogueChange, publication: Publication
) -> None:
    items = publication.items
    new = np.sort(change.added[~catalogue.published[change.added]])
    if not np.array_equal(np.sort(items), new):
        missing, surplus = np.setdiff1d(new, items), np.setdiff1d(items, new)
        wrong = (
            f"{len(missing)} new items have no vector and semantic ID, the first is {missing[0]}"
            if len(missing)
            else f"{len(surplus)} items are published that are not new, the first is {surplus[0]}"
            if len(surplus)
            else "An item is published twice"
        )
        raise UserError(
            wrong,
            where=f"{WHERE}, publication",
            remedy="Publish each new item once; what was published before stays as it is.",
        )
    for name, table, own in (
        ("Vectors", publication.item_vectors, catalogue.item_vectors),
        ("Semantic IDs", publication.codes, catalogue.codes),
    ):
        if table.shape[1] != own.shape[1] or table.dtype != own.dtype:
            raise UserError(
                f"{name} have {table.shape[1]} columns of {table.dtype}, "
                f"those of the catalogue {own.shape[1]} of {own.dtype}",
                where=f"{WHERE}, publication",
                remedy="Make them with the item vectors' own transform and codebook.",
            )
    wrong_rows = ~np.isfinite(publication.item_vectors).all(axis=1)
    if wrong_rows.any():
        raise UserError(
            f"The vector of item {items[wrong_rows.argmax()]} holds NaN or infinity",
            where=f"{WHERE}, publication",
            remedy="Correct the item's features.",
        )
    without = (publication.codes <= UNPUBLISHED).any(axis=1)
    if without.any():
        raise UserError(
            f"Item {items[without.argmax()]} is published without a semantic ID",
            where=f"{WHERE}, publication",
            remedy="Give it one with the codebook.",
        )
