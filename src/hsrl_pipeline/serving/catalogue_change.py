"""From a change of the catalogue in the user's own ids to the recommender that serves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.catalogue.changes import CatalogueChange, Publication, apply_change
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.serving.item_features import NewItem
from hsrl_pipeline.serving.own_ids import OwnId, kept_text, own_id
from hsrl_pipeline.serving.recommender import Recommender
from hsrl_pipeline.serving.request_errors import RequestError

ROOM_SHARE = 0.05
"""Rows that are added at once when there are too few for new items, as a share of all items: every
growth makes the policy's tables anew."""

LONGEST_ID = 256


class VersionConflict(Exception):
    """A change was made for another version of the catalogue, or there is none to go back to."""


@dataclass(frozen=True)
class AskedChange:
    """What arrives and what leaves, in the user's own ids.

    Attributes:
        version_before: Version that the change is for.
        add: Ids of known items that arrive or return.
        release: Ids of items that leave.
        new: Items that the model has never had, with what is known of them.
    """

    version_before: str
    add: Sequence[OwnId] = ()
    release: Sequence[OwnId] = ()
    new: Sequence[NewItem] = ()


def follow(recommender: Recommender, asked: AskedChange) -> Recommender:
    """Return a recommender that serves the next version; the given one goes on as it is.

    Args:
        recommender: What answers now.
        asked: The change.

    Raises:
        VersionConflict: Another version answers.
        RequestError: The change can't be made; names the field.
    """
    if asked.version_before != recommender.version:
        raise VersionConflict(
            f"the change is for version {asked.version_before[:100]}, {recommender.version} answers"
        )
    added = _known_items(recommender, "add", asked.add, live=False)
    released = _known_items(recommender, "release", asked.release, live=True)
    publications = _arriving(recommender, added)
    if asked.new:
        names = _new_names(recommender, asked)
        recommender = _with_names(recommender, asked.new, names)
        rows = np.array([recommender.model.item_index[name] for name in names], np.int64)
        publications.append(_published(recommender, asked.new, rows, publications))
        added = np.concatenate([added, rows])
    model, catalogue = recommender.model, recommender.catalogue
    try:
        following = apply_change(
            catalogue,
            CatalogueChange(catalogue.version, added, released),
            Publication.join(publications) if publications else None,
            n_needed=recommender.slate_size // model.n_shelves,
            shelves=model.shelves,
        )
    except UserError as error:
        raise RequestError("release" if len(released) else "add", str(error)) from error
    ready = recommender.under(following)
    ready.warm_up(batches=(1,))
    return ready


def _known_items(
    recommender: Recommender, field: str, ids: Sequence[OwnId], *, live: bool
) -> NDArray[np.int64]:
    """Return the indices of items that are live, or are not."""
    model, catalogue = recommender.model, recommender.catalogue
    items: list[int] = []
    seen: set[int] = set()
    for place, value in enumerate(ids):
        text = own_id(f"{field}.{place}", value)
        item = model.item_index.get(text)
        if item is None:
            told = "" if live else "; give what is known of it in new"
            raise RequestError(f"{field}.{place}", f"there is no item {text[:100]!r}{told}")
        if bool(catalogue.live[item]) != live:
            state = "not live" if live else "live already"
            raise RequestError(f"{field}.{place}", f"item {text!r} is {state}")
        if item in seen:
            raise RequestError(f"{field}.{place}", f"item {text!r} is named twice")
        items.append(item)
        seen.add(item)
    return np.array(items, dtype=np.int64)


def _arriving(recommender: Recommender, added: NDArray[np.int64]) -> list[Publication]:
    """Return what the model holds of added items that were never published; empty for none."""
    model = recommender.model
    new = added[~recommender.catalogue.published[added]]
    if not len(new):
        return []
    known = np.zeros(0, np.int64) if model.arrivals is None else model.arrivals.items
    missing = new[~np.isin(new, known)]
    if len(missing):
        raise RequestError(
            "add", f"item {model.item_ids[missing[0]]!r} has no vector and semantic ID yet"
        )
    assert model.arrivals is not None
    return [model.arrivals.select(new)]


def _new_names(recommender: Recommender, asked: AskedChange) -> list[str]:
    """Return the ids of new items as text.

    Raises:
        RequestError: The model can't take new items, or one of them is not new or not described.
    """
    model = recommender.model
    if model.publisher is None:
        raise RequestError("new", "this model has no transform for new items: register it again")
    shelves = frozenset() if model.shelves is None else frozenset(model.shelves[1:].tolist()) - {0}
    names: dict[str, int] = {}
    for place, item in enumerate(asked.new):
        field = f"new.{place}.item_id"
        name = kept_text(field, own_id(field, item.item_id))
        if not name or len(name) > LONGEST_ID:
            raise RequestError(field, f"an id has 1 to {LONGEST_ID} characters")
        if name in names:
            raise RequestError(field, f"item {name!r} is named twice")
        index = model.item_index.get(name)
        if index is not None:
            live = bool(recommender.catalogue.live[index])
            told = "is live already" if live else "is known already; name it in add"
            raise RequestError(field, f"item {name!r} {told}")
        kept_text(f"new.{place}.title", item.title)
        model.publisher.encoder.check(place, item, shelves)
        names[name] = place
    return list(names)


def _with_names(
    recommender: Recommender, new: Sequence[NewItem], names: Sequence[str]
) -> Recommender:
    """Return the recommender with a row for each new item; all tables grow where rows are few."""
    model = recommender.model
    free = [row for row, text in enumerate(model.item_ids) if row and not text]
    if len(free) < len(names):
        shelved = model.shelves is not None
        # rows without an item would have no shelf
        room = 0 if shelved else int(ROOM_SHARE * len(model.item_ids))
        shelves = [item.shelf or 0 for item in new] if shelved else []
        grown = model.grown(
            recommender.agent, recommender.catalogue, max(len(names), room), shelves
        )
        recommender = Recommender(grown, explore=recommender.explore)
        model, free = grown, list(range(len(model.item_ids), len(grown.item_ids)))
    ids = list(model.item_ids)
    for row, name in zip(free, names, strict=False):
        ids[row] = name
    return recommender.of(replace(model, item_ids=tuple(ids)))


def _published(
    recommender: Recommender,
    new: Sequence[NewItem],
    rows: NDArray[np.int64],
    before: Sequence[Publication],
) -> Publication:
    """Return vectors and semantic IDs of new items, with those that arrive with them taken."""
    catalogue, publisher = recommender.catalogue, recommender.model.publisher
    assert publisher is not None
    codes = catalogue.codes
    if before:
        codes = codes.copy()
        for publication in before:
            codes[publication.items] = publication.codes
    try:
        return publisher.publish(new, rows, codes)
    except UserError as error:
        raise RequestError("new", str(error)) from error
