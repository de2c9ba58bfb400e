"""The schedule as a thing: live sets, times, its document."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hsrl_pipeline.catalogue import CatalogueSchedule
from hsrl_pipeline.catalogue.schedule import Step
from hsrl_pipeline.errors import UserError


def array(*items: int) -> np.ndarray:
    return np.array(items, np.int64)


def make_schedule() -> CatalogueSchedule:
    """Item 2 leaves and comes back; items 5 and 4 arrive."""
    steps = (Step(array(5), array(2)), Step(array(2, 4), array(1, 5)))
    return CatalogueSchedule(6, array(1, 2, 3), steps, (0.5, 0.8), {"seed": 3})


def test_live_sets_follow_the_steps() -> None:
    schedule = make_schedule()
    lives = [np.flatnonzero(live).tolist() for live in schedule.live_sets()]

    assert lives == [[1, 2, 3], [1, 3, 5], [2, 3, 4]]
    assert np.flatnonzero(schedule.launched).tolist() == [1, 2, 3]
    assert schedule.arrivals.tolist() == [5, 4]


def test_changes_come_at_shares_of_the_iterations() -> None:
    assert make_schedule().iterations(20_000) == (10_000, 16_000)
    with pytest.raises(UserError, match=r"2 changes do not fit into 2 iterations.*\[1, 2\]"):
        make_schedule().iterations(2)


def test_the_document_says_all_and_its_version_follows_the_content() -> None:
    schedule = make_schedule()
    document = json.loads(json.dumps(schedule.to_document()))
    read = CatalogueSchedule.from_document(document)

    assert read.to_document() == schedule.to_document()
    assert document["seed"] == 3
    assert replace(schedule, metadata={"seed": 4}).version == schedule.version
    assert replace(schedule, change_at=(0.5, 0.9)).version != schedule.version
    assert replace(schedule, steps=schedule.steps[:1]).version != schedule.version


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"launch": [1, 2, 3, 6]}, "claims version .* but is .*: it was changed"),
        ({"launch": [1, 2, "x"]}, "whole numbers .*launch"),
        ({"launch": [1, 2, 9]}, "Item 9 does not exist: items are numbered 1 to 6"),
        ({"launch": [1, 2, 0]}, "Item 0 does not exist: items are numbered 1 to 6"),
        ({"steps": [{"added": [3], "released": []}]}, "Item 3 arrives while it is live.*change 1"),
        ({"steps": [{"added": [], "released": [6]}]}, "Item 6 .*leaves while it is not.*change 1"),
        ({"steps": [{"added": [4], "released": 1.5}]}, "whole numbers .*change 1"),
    ],
)
def test_a_document_of_something_else_is_refused(change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        CatalogueSchedule.from_document({**make_schedule().to_document(), **change})


def test_a_document_with_a_part_missing_is_refused() -> None:
    document = make_schedule().to_document()
    del document["steps"]
    with pytest.raises(UserError, match="The schedule lacks steps"):
        CatalogueSchedule.from_document(document)
