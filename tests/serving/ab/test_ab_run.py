"""What a test counts when servers do what they should not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hsrl_pipeline.serving.ab.ab_test import AbRecords, AbRun
from hsrl_pipeline.serving.ab.catalogue_moves import CatalogueMove
from hsrl_pipeline.serving.ab.page import findings, report_page
from hsrl_pipeline.serving.ab.results import session_table, summarise

from ..small_model import IDS
from .small_test import small_visitors

Answer = Callable[[dict[str, Any]], tuple[int, Any]]
FIRST_TWO = (200, {"items": [IDS[1], IDS[2]], "request_id": "r"})


class FakeServer:
    """Answers as told; changes of the catalogue are acknowledged unless it is told otherwise."""

    def __init__(self, answer: Answer, change: tuple[int, Any] | None = None) -> None:
        self.gone: frozenset[str] = frozenset()
        self._answer = answer
        self._change = change or (200, {"catalogue_version": "two"})

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        if path == "/recommend":
            return self._answer(body)
        if path == "/feedback":
            assert set(body["clicks"]) <= {IDS[1], IDS[2]}
            return 200, {"kept": True}
        return (200, {"catalogue_version": "one"}) if method == "GET" else self._change

    def refuse_ended(self) -> None:
        """It never ends."""


def fails(_: dict[str, Any]) -> tuple[int, Any]:
    raise ConnectionResetError("gone")


def play(answer: Answer, moves: tuple[CatalogueMove, ...] = (), change: Any = None) -> AbRun:
    arms = {"A": FakeServer(lambda _: FIRST_TWO), "B": FakeServer(answer, change)}
    run = AbRun(arms, small_visitors(), 120, 4, {"A": moves, "B": moves})  # type: ignore[arg-type]
    run.play()
    return run


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda _: (500, "Internal Server Error"), "500: Internal Server Error"),
        (lambda _: (422, {"field": "n", "error": "too many"}), "422: n, too many"),
        (fails, "no answer: ConnectionResetError: gone"),
        (lambda _: (200, {"items": [IDS[1]], "request_id": "r"}), "1 items instead of 2"),
        (lambda _: (200, {"items": [IDS[1]] * 2, "request_id": "r"}), "an item twice"),
    ],
)
def test_failed_requests_end_sessions_and_are_counted(answer: Answer, told: str) -> None:
    run = play(answer)
    records = AbRecords(run.visits, run.moves_done, {"A": "", "B": ""})
    document = summarise(records, session_table(records, 2), {"A": "a", "B": "b"}, {})
    arms = document["arms"]
    assert arms["A"]["failed_requests"] == 0
    assert arms["B"]["failed_requests"] == arms["B"]["sessions"] == arms["B"]["requests"] > 40
    (text,) = arms["B"]["failures"]
    assert told in text
    assert arms["B"]["total_reward"] == arms["B"]["depth"] == 0.0
    assert told.replace("'", "") in report_page(document)
    assert f"{arms['B']['failed_requests']} failed" in findings(document)[-1]


def test_slots_on_released_items_are_counted_from_the_acknowledgement_on() -> None:
    moves = (
        CatalogueMove(0.0, (), (IDS[1],)),
        CatalogueMove(0.0, (IDS[1],), (IDS[3],)),
        CatalogueMove(0.0, (), (IDS[2],)),
    )
    run = play(lambda _: FIRST_TWO, moves)
    assert all(visit.released_slots == visit.depth > 0 for visit in run.visits)


def test_arms_may_be_led_to_a_version_by_changes_of_their_own() -> None:
    nothing = CatalogueMove(0.0, (), ())
    own = {"A": (nothing,), "B": (CatalogueMove(0.0, (), (IDS[2],)),)}
    arms = {"A": FakeServer(lambda _: FIRST_TWO), "B": FakeServer(lambda _: FIRST_TWO)}
    run = AbRun(arms, small_visitors(), 120, 4, own)  # type: ignore[arg-type]
    run.play()
    assert [(move.arm, move.released) for move in run.moves_done] == [("B", 1)]
    assert {visit.arm for visit in run.visits if visit.released_slots} == {"B"}


def test_a_refused_change_releases_nothing_and_is_told() -> None:
    moves = (CatalogueMove(0.0, (), (IDS[1],)),)
    run = play(lambda _: FIRST_TWO, moves, (409, {"error": "another version answers"}))
    assert [(move.arm, move.version, move.refused) for move in run.moves_done] == [
        ("A", "two", ""),
        ("B", "one", "another version answers"),
    ]
    assert {visit.arm for visit in run.visits if visit.released_slots} == {"A"}
