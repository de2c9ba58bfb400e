"""Two servers in processes of their own, visited over HTTP by simulated users."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.serving.ab.ab_test import AbRecords, run_ab_test
from hsrl_pipeline.serving.ab.assignment import arm_of
from hsrl_pipeline.serving.ab.catalogue_moves import CatalogueMove
from hsrl_pipeline.serving.ab.page import findings, write_report
from hsrl_pipeline.serving.ab.results import session_table, summarise
from hsrl_pipeline.serving.ab.visitors import Visit, Visitors
from hsrl_pipeline.serving.user_features import UserEncoder

from ..small_model import IDS, small_model
from .small_test import LIKED, small_visitors
from .test_visitors import rollouts

SESSIONS = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ab")


@pytest.fixture(scope="module")
def compared(folder: Path) -> AbRecords:
    """What users like is live at A; half of what is live at B they do not like."""
    return run_ab_test(
        {"A": small_model(live=range(1, 7)), "B": small_model(live=range(4, 10))},
        small_visitors(),
        n_sessions=SESSIONS,
        events=folder / "events",
    )


@pytest.mark.slow
class TestTwoModels:
    def test_sessions_of_each_arm_are_those_of_its_policy(self, compared: AbRecords) -> None:
        for arm, live in (("A", range(1, 7)), ("B", range(4, 10))):
            records = rollouts(small_model(live=live), small_visitors(), SESSIONS)
            own = [visit for visit in compared.visits if visit.arm == arm]
            numbers = [visit.number for visit in own]
            np.testing.assert_allclose(
                [visit.total_reward for visit in own], records.total_reward[numbers]
            )
            assert 100 < len(own) < 200

    def test_arms_are_those_of_the_hash(self, compared: AbRecords) -> None:
        assert [visit.number for visit in compared.visits] == list(range(SESSIONS))
        assert all(
            visit.arm == arm_of(f"session-{visit.number}", "hsrl-ab-3") for visit in compared.visits
        )

    def test_the_report_tells_the_difference_and_counts(
        self, compared: AbRecords, tmp_path: Path
    ) -> None:
        sessions = session_table(compared, 2)
        document = summarise(compared, sessions, {"A": "a", "B": "b"}, {"seed": 3})
        found = document["differences"]["total_reward"]
        assert found["high"] < 0.0
        assert found["clear_after_sessions"] < SESSIONS
        means = sessions.groupby("arm")["total_reward"].mean()
        assert found["difference"] == pytest.approx(means["B"] - means["A"], abs=0.1)
        rate = document["arms"]["A"]["click_rate"]
        assert rate == pytest.approx(0.9, abs=0.05)
        for arm in document["arms"].values():
            assert arm["failed_requests"] == arm["released_slots"] == arm["illegal_items"] == 0
            assert arm["failed_feedback"] == 0
            assert 0.0 < arm["server_ms_mean"] < arm["request_ms_mean"] <= arm["request_ms_p99"]
        cost = document["differences"]["request_ms"]
        assert cost["low"] is cost["high"] is cost["clear_after_sessions"] is None
        assert cost["difference"] == document["over_time"][-1]["request_ms"][0]
        assert document["over_time"][-1]["sessions"] == SESSIONS
        assert document["over_time"][-1]["total_reward"][1:] == [found["low"], found["high"]]
        page = write_report(tmp_path / "report", document, sessions)
        assert "B - A" in page.read_text()
        assert json.loads((page.parent / "report.json").read_text()) == document
        assert len(pd.read_parquet(page.parent / "sessions.parquet")) == SESSIONS
        assert "0 failed, 0 slots on released items" in findings(document)[-1]

    def test_every_slate_and_click_is_among_the_events(
        self, compared: AbRecords, folder: Path
    ) -> None:
        events = pd.read_parquet(folder / "events")
        assert events["slate_id"].nunique() == sum(visit.depth for visit in compared.visits)
        assert events["label"].sum() == sum(visit.clicks for visit in compared.visits)
        assert set(events["user_id"]) == {visit.user_id for visit in compared.visits}


@pytest.mark.slow
def test_a_model_against_itself_while_the_catalogue_moves() -> None:
    model = small_model(live=[1, 2, 3, 7, 8, 9], later=[10])
    moves = [
        CatalogueMove(0.0, (), (IDS[1],)),
        CatalogueMove(0.3, (IDS[10],), (IDS[2],)),
        CatalogueMove(0.5, (IDS[1],), (IDS[10],)),
        CatalogueMove(0.9, (IDS[2],), (IDS[7],)),
    ]
    records = run_ab_test(
        {"A": model, "B": model},
        small_visitors(),
        n_sessions=SESSIONS,
        n_clients=4,
        moves={"A": moves, "B": moves},
    )
    document = summarise(records, session_table(records, 2), {"A": "a", "B": "b"}, {})
    for name in ("total_reward", "depth", "click_rate"):
        found = document["differences"][name]
        assert found["clear_after_sessions"] is None
        assert found["low"] < 0.0 < found["high"]
    for arm in document["arms"].values():
        assert arm["failed_requests"] == arm["released_slots"] == arm["illegal_items"] == 0
    done = document["changes"]
    assert [(move["arm"], move["refused"]) for move in done] == [("A", ""), ("B", "")] * 4
    assert [
        move["sessions"] >= share * SESSIONS
        for move, share in zip(done[::2], (0, 0.3, 0.5, 0.9), strict=True)
    ] == [True] * 4
    assert done[0]["version"] == done[1]["version"]
    assert len({move["version"] for move in done}) == 4


@pytest.mark.slow
def test_a_model_that_does_not_fit_its_policy_is_one_message() -> None:
    model = small_model()
    codes = np.delete(model.launch.codes, 1, axis=1)
    launch = replace(model.launch, codes=codes)
    broken = replace(model, launch=launch, catalogue=launch)
    with pytest.raises(UserError, match="The model of arm B can't be served: ") as caught:
        run_ab_test({"A": model, "B": broken}, small_visitors(), n_sessions=100)
    assert "Traceback" not in str(caught.value)


@pytest.mark.slow
def test_a_server_that_ends_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    ended = []
    answer = Visitors.react

    def end_one(self: Visitors, visits: list[Visit]) -> list[Visit]:
        if not ended:
            ended.extend(multiprocessing.active_children())
            ended[0].kill()
            ended[0].join()
        return answer(self, visits)

    monkeypatch.setattr(Visitors, "react", end_one)
    with pytest.raises(UserError, match=r"The server of arm [AB] ended during the test"):
        run_ab_test({"A": model, "B": model}, small_visitors(), n_sessions=100)
    assert not multiprocessing.active_children()


def test_models_of_other_data_are_refused() -> None:
    visitors = small_visitors()
    fewer = replace(visitors, item_ids=IDS[: LIKED + 1])
    with pytest.raises(UserError, match="6 items that the simulated users do not know"):
        run_ab_test({"A": small_model(), "B": small_model()}, fewer, n_sessions=100)
    features = UserEncoder({"country": ("NL",), "colour": ("red",)}, visitors.features.numbers)
    with pytest.raises(UserError, match="does not read the user feature 'colour'"):
        run_ab_test(
            {"A": small_model(), "B": small_model()},
            replace(visitors, features=features),
            n_sessions=100,
        )
