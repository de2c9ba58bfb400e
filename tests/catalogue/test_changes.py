"""Changes of the catalogue: what a change does, what it never touches, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.catalogue import CatalogueChange, LiveCatalogue, Publication, apply_change
from hsrl_pipeline.errors import UserError

N_ITEMS = 9


def at_launch() -> LiveCatalogue:
    """Items 1 to 5 are live, item 6 was released, nobody knows 7 to 9."""
    live = np.zeros(N_ITEMS + 1, bool)
    live[1:6] = True
    vectors = np.zeros((N_ITEMS + 1, 2), np.float32)
    codes = np.full((N_ITEMS + 1, 2), -1)
    vectors[1:7, 0] = np.arange(1, 7)
    codes[1:7] = [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]]
    return LiveCatalogue(live, vectors, codes)


def published(*items: int) -> Publication:
    index = np.array(items, np.int64)
    return Publication(
        index,
        np.stack([index, -index], axis=1).astype(np.float32),
        np.stack([index, index + 1], axis=1),
    )


def change(catalogue: LiveCatalogue, added: list[int], released: list[int]) -> CatalogueChange:
    return CatalogueChange(
        catalogue.version, np.array(added, np.int64), np.array(released, np.int64)
    )


def test_a_change_publishes_new_items_and_keeps_released_ones_published() -> None:
    before = at_launch()
    version = before.version
    after = apply_change(before, change(before, [8, 6], [2, 3]), published(8), n_needed=3)

    assert after.live_items.tolist() == [1, 4, 5, 6, 8]
    assert after.codes[8].tolist() == [8, 9]
    assert after.item_vectors[8].tolist() == [8.0, -8.0]
    others = np.arange(N_ITEMS + 1) != 8
    assert (after.codes[others] == before.codes[others]).all()
    assert (after.item_vectors[others] == before.item_vectors[others]).all()
    assert after.published.tolist() == [False, *[True] * 6, False, True, False]
    assert after.version != version
    assert (before.live_items.tolist(), LiveCatalogue(**vars_of(before)).version) == (
        [1, 2, 3, 4, 5],
        version,
    )


def vars_of(catalogue: LiveCatalogue) -> dict[str, np.ndarray]:
    return {name: getattr(catalogue, name) for name in ("live", "item_vectors", "codes")}


def test_versions_depend_on_the_content_and_not_on_the_way_to_it() -> None:
    start = at_launch()
    at_once = apply_change(start, change(start, [7, 8], []), published(7, 8), n_needed=1)
    first = apply_change(start, change(start, [8], [1]), published(8), n_needed=1)
    second = apply_change(first, change(first, [7, 1], []), published(7), n_needed=1)

    assert second.version == at_once.version
    back = apply_change(first, change(first, [1], [8]), n_needed=1)
    assert back.version != start.version  # item 8 stays published


def bad_vectors(shape: Callable[[np.ndarray], np.ndarray]) -> Publication:
    return replace(published(7), item_vectors=shape(published(7).item_vectors))


@pytest.mark.parametrize(
    ("added", "released", "publication", "message"),
    [
        ([], [6], None, "1 released items are not live, the first is item 6"),
        ([5], [], None, "1 added items are live already, the first is item 5"),
        ([7, 7], [], published(7), "Item 7 is named 2 times"),
        ([], [1, 1], None, "Item 1 is named 2 times"),
        ([6], [6], None, "Item 6 is named 2 times"),
        ([10], [], published(10), "Item 10 does not exist: items are numbered 1 to 9"),
        ([], [0], None, "Item 0 does not exist"),
        ([], [1, 2, 3], None, "2 live items are left, sessions need 3"),
        ([7], [], None, "1 new items have no vector and semantic ID, the first is 7"),
        ([6], [], published(6), "1 items are published that are not new, the first is 6"),
        ([7], [], published(7, 7), "An item is published twice"),
        (
            [7],
            [],
            bad_vectors(lambda v: v[:, :1]),
            "Vectors have 1 columns of float32, those of the catalogue 2",
        ),
        ([7], [], bad_vectors(lambda v: v.astype(np.float64)), "2 columns of float64"),
        ([7], [], bad_vectors(lambda v: v * np.nan), "The vector of item 7 holds NaN"),
        (
            [7],
            [],
            replace(published(7), codes=np.array([[3]])),
            "Semantic IDs have 1 columns of int64, those of the catalogue 2",
        ),
        (
            [7],
            [],
            replace(published(7), codes=np.array([[3, -1]])),
            "Item 7 is published without a semantic ID",
        ),
    ],
)
def test_a_change_that_does_not_fit_is_refused_and_changes_nothing(
    added: list[int], released: list[int], publication: Publication | None, message: str
) -> None:
    catalogue = at_launch()
    version = catalogue.version

    with pytest.raises(UserError, match=message):
        apply_change(catalogue, change(catalogue, added, released), publication, n_needed=3)
    assert LiveCatalogue(**vars_of(catalogue)).version == version


def test_a_change_for_another_version_is_refused() -> None:
    catalogue = at_launch()
    late = replace(change(catalogue, [], [1]), version_before="0123456789ab")

    with pytest.raises(UserError, match="for version 0123456789ab of the catalogue, this is"):
        apply_change(catalogue, late, n_needed=1)


def test_no_shelf_may_run_short() -> None:
    catalogue = at_launch()
    shelves = np.array([0, 1, 1, 2, 2, 2, 1, 2, 1, 1])

    apply_change(catalogue, change(catalogue, [], [3]), n_needed=2, shelves=shelves)
    with pytest.raises(UserError, match="1 live items on shelf 1 are left, sessions need 2"):
        apply_change(catalogue, change(catalogue, [], [1]), n_needed=2, shelves=shelves)


def test_a_change_goes_through_json() -> None:
    made = CatalogueChange("0123456789ab", np.array([7, 3]), np.array([], np.int64))
    read = CatalogueChange.from_dict(json.loads(json.dumps(made.to_dict())))

    assert read.to_dict() == made.to_dict()
    assert (read.added.dtype, read.released.dtype) == (np.int64, np.int64)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"version_before": "x", "added": []}, "missing or unknown fields: released"),
        ({"version_before": "x", "added": [1.5], "released": []}, "whole numbers.*added"),
        ({"version_before": "x", "added": [], "released": 3}, "whole numbers.*released"),
    ],
)
def test_a_change_of_another_form_is_refused(values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        CatalogueChange.from_dict(values)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sets(st.integers(1, N_ITEMS), max_size=4),
            st.sets(st.integers(1, N_ITEMS), max_size=4),
        ),
        max_size=8,
    )
)
def test_no_sequence_of_changes_moves_what_was_published(
    steps: list[tuple[set[int], set[int]]],
) -> None:
    catalogue = at_launch()
    live = {1, 2, 3, 4, 5}
    known = {*live, 6}
    for wanted, unwanted in steps:
        added = sorted(wanted - live)
        released = sorted((unwanted & live) - {1})
        new = [item for item in added if item not in known]
        before = catalogue
        catalogue = apply_change(
            before, change(before, added, released), published(*new), n_needed=1
        )
        live = (live | set(added)) - set(released)
        known |= set(new)
        rows = before.published
        assert (catalogue.codes[rows] == before.codes[rows]).all()
        assert (catalogue.item_vectors[rows] == before.item_vectors[rows]).all()
        assert catalogue.live_items.tolist() == sorted(live)
        assert set(np.flatnonzero(catalogue.published)) == known
    assert catalogue.version == LiveCatalogue(**vars_of(catalogue)).version


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (np.array([1.0]), "added has dtype float64, expected int64"),
        (np.array([[1]]), r"added has shape \(1, 1\)"),
    ],
)
def test_items_of_another_form_are_no_change(items: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CatalogueChange("x", items, np.zeros(0, np.int64))
