"""When policies are kept and judged."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hsrl_pipeline.catalogue.schedule import CatalogueSchedule, Step
from hsrl_pipeline.catalogue.timetable import (
    Point,
    Timetable,
    after_training,
    from_scratch,
    while_training,
)
from hsrl_pipeline.errors import UserError

NOTHING = np.zeros(0, np.int64)
SCHEDULE = CatalogueSchedule(
    4, np.array([1, 2, 3]), (Step(np.array([4]), NOTHING), Step(NOTHING, np.array([1]))), (0.5, 0.8)
)


def test_a_served_policy_is_judged_frozen_and_after_updates() -> None:
    table = after_training(2, 100, (0, 5, 20))
    assert table.n_iterations == 140 and table.change_at == (100, 120)
    assert table.points == (
        Point(100, 0, 0, "frozen"),
        Point(100, 1, 0, "frozen"),
        Point(100, 2, 0, "frozen"),
        Point(100, 1, 0, "updated"),
        Point(105, 1, 5, "updated"),
        Point(120, 1, 20, "updated"),
        Point(120, 2, 0, "updated"),
        Point(125, 2, 5, "updated"),
        Point(140, 2, 20, "updated"),
    )
    # what is kept at the time of a change has not seen it
    assert [table.trained_under(at) for at in (100, 101, 120, 121)] == [0, 1, 1, 2]
    assert table.before(1) == Point(100, 0, 0, "frozen")
    assert table.before(2) == Point(120, 1, 20, "updated")


@pytest.mark.parametrize("updates", [(), (0,)])
def test_a_policy_without_updates_is_trained_at_launch_alone(updates: tuple[int, ...]) -> None:
    table = after_training(3, 100, updates)
    assert table.n_iterations == 100 and table.change_at == ()
    assert table.kept_at == {100}
    assert {point.path for point in table.points} == {"frozen"}


def test_an_agent_in_training_is_judged_around_each_change_and_at_the_end() -> None:
    table = while_training(SCHEDULE, 100, (0, 10, 25))
    assert table.change_at == (50, 80)
    assert [point[:3] for point in table.points] == [
        (50, 0, 0),
        (50, 1, 0),
        (60, 1, 10),
        (75, 1, 25),
        (80, 1, 30),
        (80, 2, 0),
        (90, 2, 10),
        (100, 2, 20),
    ]
    assert table.before(2) == Point(80, 1, 30, "updated")
    with pytest.raises(UserError, match="do not fit into 1 iterations"):
        while_training(SCHEDULE, 1, ())


def test_a_timetable_survives_its_file() -> None:
    table = while_training(SCHEDULE, 100, (10,))
    assert Timetable.from_dict(json.loads(json.dumps(table.to_dict()))) == table


@pytest.mark.parametrize(
    ("updates", "budget", "lengths"),
    [((0, 5, 20), 1000, [120, 140, 160]), ((20,), 130, [120, 130, 130]), ((), 1000, [100] * 3)],
)
def test_a_policy_trained_from_scratch_gets_what_the_one_that_served_has_had(
    updates: tuple[int, ...], budget: int, lengths: list[int]
) -> None:
    table = from_scratch(3, 100, updates, budget)
    ends = np.cumsum(lengths).tolist()
    assert table.n_iterations == ends[-1] and table.change_at == (0, *ends[:-1])
    assert list(table.points) == [
        Point(end, change, length, "updated")
        for change, (end, length) in enumerate(zip(ends, lengths, strict=True), start=1)
    ]
    # the one that is kept last before a change was trained under the version before it
    assert [table.trained_under(end) for end in ends] == [1, 2, 3]
    served = after_training(3, 100, updates)
    assert [
        max(point.at for point in served.points if point.change == change) for change in (1, 2, 3)
    ] == [min(100 + change * (lengths[0] - 100), 160) for change in (1, 2, 3)]
