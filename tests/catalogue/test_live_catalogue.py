"""One version of the catalogue: what it holds and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from hsrl_pipeline.catalogue import LiveCatalogue


def _tables() -> dict[str, np.ndarray]:
    return {
        "live": np.array([False, True, False, False]),
        "item_vectors": np.array([[0, 0], [1, 0], [0, 1], [0, 0]], np.float32),
        "codes": np.array([[-1, -1], [0, 1], [2, 0], [-1, -1]]),
    }


def test_released_items_stay_published_and_unknown_ones_are_not() -> None:
    catalogue = LiveCatalogue(**_tables())

    assert catalogue.n_items == 3
    assert catalogue.live_items.tolist() == [1]
    assert catalogue.published.tolist() == [False, True, True, False]


def test_further_rows_are_published_by_nobody_yet() -> None:
    grown = LiveCatalogue(**_tables()).with_rows(2)

    assert (grown.n_items, grown.item_vectors.shape, grown.codes.shape) == (5, (6, 2), (6, 2))
    assert grown.live_items.tolist() == [1]
    assert grown.published.tolist() == [False, True, True, False, False, False]
    assert not grown.item_vectors[4:].any()


def test_half_a_semantic_id_publishes_nothing() -> None:
    tables = _tables()
    tables["codes"][2] = [2, -1]

    assert LiveCatalogue(**tables).published.tolist() == [False, True, False, False]


def test_a_catalogue_without_padding_is_refused() -> None:
    with pytest.raises(ValueError, match="row 0 of live must be False"):
        LiveCatalogue(**{name: table[:0] for name, table in _tables().items()})


@pytest.mark.parametrize("table", ["live", "item_vectors", "codes"])
def test_every_table_is_part_of_the_version(table: str) -> None:
    changed = _tables()
    changed[table][2] = True if table == "live" else 1

    assert LiveCatalogue(**changed).version != LiveCatalogue(**_tables()).version
    assert LiveCatalogue(**_tables()).version == LiveCatalogue(**_tables()).version


@pytest.mark.parametrize(
    ("table", "value", "message"),
    [
        ("live", np.array([False, True, True]), r"item_vectors has shape \(4, 2\)"),
        ("live", np.array([True, True, False, False]), "row 0 of live must be False"),
        ("live", np.array([False, True, False, True]), "item 3 is live and has no semantic ID"),
        ("live", np.array([0, 1, 0, 0]), "live has dtype int64, expected bool"),
        ("item_vectors", np.zeros((4, 2)), "item_vectors has dtype float64, expected float32"),
        ("codes", np.zeros((4, 2), np.int32), "codes has dtype int32, expected int64"),
    ],
)
def test_tables_that_do_not_fit_are_refused(table: str, value: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LiveCatalogue(**{**_tables(), table: value})
