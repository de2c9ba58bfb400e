"""Changes of the catalogue that a test plans, and those it refuses before it starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsrl_pipeline.catalogue.schedule import CatalogueSchedule, Step
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.serving.ab.catalogue_moves import (
    CatalogueMove,
    moves_of_schedule,
    read_moves,
    refuse_moves,
)

from ..small_model import IDS, small_model

LIVE = [1, 2, 3, 5, 7, 9]


def written(folder: Path, content: Any) -> Path:
    path = folder / "changes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_changes_are_read_in_the_order_in_which_they_come(tmp_path: Path) -> None:
    path = written(
        tmp_path, [{"at": 0.8, "release": ["film 1"]}, {"at": 0.25, "add": ["x", 7], "release": []}]
    )
    assert read_moves(path) == (
        CatalogueMove(0.25, ("x", "7"), ()),
        CatalogueMove(0.8, (), ("film 1",)),
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[", "line 1"),
        ({"at": 0.5}, "valid list"),
        ([{"add": ["1"]}], r"0\.at: Field required"),
        ([{"at": 0.0}], r"0\.at: Input should be greater than 0"),
        ([{"at": 1.0}], r"0\.at: Input should be less than 1"),
        ([{"at": float("nan")}], r"0\.at"),
        ([{"at": 0.5}, {"at": 0.5, "remove": []}], r"1\.remove: Extra inputs"),
        ([{"at": 0.5, "release": [True]}], r"0\.release\.0"),
        ([{"at": 0.5, "release": "film 1"}], r"0\.release"),
    ],
)
def test_a_bad_file_is_one_message(tmp_path: Path, content: Any, told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        read_moves(written(tmp_path, content))
    assert "changes.json" in str(caught.value)
    assert '"at"' in str(caught.value)


def test_a_missing_file_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_moves(tmp_path / "none.json")


def test_a_schedule_first_leads_to_its_launch_and_then_moves_evenly() -> None:
    steps = (
        Step(np.array([4]), np.array([1])),
        Step(np.array([6, 1]), np.zeros(0, np.int64)),
        Step(np.zeros(0, np.int64), np.array([2])),
    )
    schedule = CatalogueSchedule(6, np.array([1, 2, 3]), steps, (0.5, 0.6, 0.7))
    live = np.array([False, True, False, True, True, True, False])
    names = ("", *"abcdef")
    assert moves_of_schedule(schedule, names, live) == (
        CatalogueMove(0.0, ("b",), ("d", "e")),
        CatalogueMove(0.25, ("d",), ("a",)),
        CatalogueMove(0.5, ("f", "a"), ()),
        CatalogueMove(0.75, (), ("b",)),
    )


@pytest.mark.parametrize(
    ("moves", "told"),
    [
        ([((), ("film 99",))], "no item 'film 99'"),
        ([((), (IDS[4],))], "'film 4' is not live when this change comes"),
        ([((IDS[1],), ())], "'film 1' is live already"),
        ([((), (IDS[1], IDS[1]))], "'film 1' is named twice"),
        ([((IDS[4],), (IDS[4],))], "'film 4' is named twice"),
        ([((IDS[11],), ())], "'film 11' has no vector and semantic ID"),
        ([((), (IDS[1],)), ((), (IDS[1],))], "change 2 of the catalogue"),
        ([((), tuple(IDS[item] for item in LIVE[:-1]))], "1 live items are left, sessions need 2"),
    ],
)
def test_changes_that_a_server_would_refuse_are_refused_before(moves: list, told: str) -> None:
    model = small_model(live=LIVE, later=[10, 11])
    arrivals = model.arrivals
    assert arrivals is not None
    object.__setattr__(model, "arrivals", arrivals.select(np.array([10])))
    planned = [CatalogueMove(0.5, add, release) for add, release in moves]
    with pytest.raises(UserError, match=told):
        refuse_moves(planned, model, n_needed=2)


def test_items_may_leave_return_and_arrive() -> None:
    model = small_model(live=LIVE, later=[10])
    planned = [
        CatalogueMove(0.2, (IDS[10], IDS[4]), (IDS[1],)),
        CatalogueMove(0.4, (IDS[1],), (IDS[10],)),
        CatalogueMove(0.6, (IDS[10],), ()),
    ]
    refuse_moves(planned, model, n_needed=2)
