"""Cutting, splitting and indexing on events small enough to follow by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.data.engines.duckdb_engine import DuckDBEngine
from hsrl_pipeline.data.events.store import EventManifest, LoggedEvents
from hsrl_pipeline.data.sources.source_log import SlateRule, SplitRule
from hsrl_pipeline.data.tables.canonical_tables import write_tables
from hsrl_pipeline.data.tables.slate_cutting import place_events
from hsrl_pipeline.errors import UserError

Cut = Callable[..., dict[str, pd.DataFrame]]


@pytest.fixture
def cut(tmp_path: Path) -> Cut:
    """Return a function that cuts (user, item, time, label) events into canonical tables."""

    def run(
        events: list[tuple[Any, ...]],
        slates: SlateRule,
        split: SplitRule | None = None,
        extra: tuple[str, ...] = (),
        **manifest: Any,
    ) -> dict[str, pd.DataFrame]:
        frame = pd.DataFrame(events, columns=["user_id", "item_id", "timestamp", "label", *extra])
        frame["order"] = np.arange(1, len(frame) + 1)
        frame["value"] = np.float32(0)
        ids = {}
        for name in ("user", "item"):
            known = sorted(frame[f"{name}_id"].unique(), key=lambda text: (len(text), text))
            ids[name] = pd.DataFrame(
                {f"{name}_id": known, f"{name}_key": np.arange(len(known), dtype=np.int32)}
            )
            frame = frame.merge(ids[name], on=f"{name}_id").drop(columns=f"{name}_id")
        frame = frame.astype({"timestamp": np.int64, "label": np.int8})
        if "position" in extra:
            frame["position"] = frame["position"].astype("Int8")
        engine = DuckDBEngine(tmp_path, threads=1)
        logged = LoggedEvents(
            events=engine.backend.create_table("events", frame),
            users=engine.backend.create_table("users", ids["user"]),
            items=engine.backend.create_table("items", ids["item"]),
        )
        rules = EventManifest(
            base="b",
            days={},
            day_starts={},
            accounts={},
            slates=slates,
            split=split or SplitRule(train_share=0.5),
            **{"time_unit": "s", "utc_offset_hours": 0, **manifest},
        )
        tables = write_tables(engine, place_events(engine, logged, rules), slates.size)
        engine.close()
        frames = {
            name: pd.read_parquet(getattr(tables, name))
            for name in ("interactions", "slates", "timeline")
        }
        return {**frames, "users": tables.users, "items": tables.items}

    return run


def by_id(tables: dict[str, pd.DataFrame], columns: list[str]) -> list[list[str]]:
    ids = tables["items"].set_index("item_index")["item_id"]
    return [[ids[item] for item in row] for row in tables["slates"][columns].to_numpy()]


def test_consecutive_cuts_ties_by_file_order_and_incomplete_rest(cut: Cut) -> None:
    events = [
        ("u", "a", 5, 1),
        ("u", "b", 1, 1),
        ("u", "c", 1, 0),
        ("u", "d", 3, 1),
        ("u", "e", 9, 1),
        ("v", "a", 2, 1),
        ("v", "e", 2, 0),
    ]
    got = cut(events, SlateRule(size=2))
    assert by_id(got, ["item_0", "item_1"]) == [["b", "c"], ["a", "e"], ["d", "a"]]
    assert got["slates"]["timestamp"].tolist() == [1, 2, 5]
    assert got["slates"]["split"].tolist() == ["train", "test", "test"]
    assert got["slates"][["label_0", "label_1"]].to_numpy().tolist() == [[1, 0], [1, 0], [1, 1]]
    ids = got["items"].set_index("item_index")["item_id"]
    timeline = [ids[item] for item in got["timeline"]["item_index"]]
    assert timeline == ["b", "d", "a", "e", "a"]
    histories = [
        timeline[start:end]
        for start, end in got["slates"][["history_start", "history_end"]].to_numpy()
    ]
    assert histories == [[], [], ["b"]]
    outside = got["interactions"][got["interactions"]["slate_index"] == -1]
    assert (outside["timestamp"].tolist(), outside["position"].tolist()) == ([9], [-1])


def test_training_items_and_users_are_numbered_first(cut: Cut) -> None:
    events = [
        ("10", "7", 1, 1),
        ("10", "30", 2, 0),
        ("9", "5", 3, 1),
        ("9", "7", 4, 0),
    ]
    got = cut(events, SlateRule(size=2))
    assert got["users"]["user_id"].tolist() == ["10", "9"]
    assert got["users"]["in_train"].tolist() == [True, False]
    assert got["items"]["item_id"].tolist() == ["7", "30", "5"]
    assert got["items"]["n_train_events"].tolist() == [1, 1, 0]
    assert got["items"]["n_positives"].tolist() == [1, 0, 1]


def test_no_slate_reaches_across_a_long_pause(cut: Cut) -> None:
    events = [("u", item, time, 1) for item, time in zip("abcde", [0, 10, 20, 51, 60], strict=True)]
    got = cut(events, SlateRule(size=2, session_gap=30))
    assert by_id(got, ["item_0", "item_1"]) == [["a", "b"], ["d", "e"]]
    assert got["interactions"]["session_index"].tolist() == [0, 0, 0, 1, 1]
    assert got["slates"]["session_index"].tolist() == [0, 1]
    assert (got["slates"]["history_end"] - got["slates"]["history_start"]).tolist() == [0, 3]


def test_given_slates_keep_their_positions_and_prior_clicks_enter_histories(cut: Cut) -> None:
    events = [
        ("1", "x", 0, 1, None, None, True),
        ("1", "b", 10, 1, "s", 1, False),
        ("1", "a", 10, 0, "s", 0, False),
        ("1", "c", 20, 1, "t", 0, False),
        ("1", "d", 20, 1, "t", 1, False),
    ]
    extra = ("slate_id", "position", "prior")
    got = cut(events, SlateRule(size=2, given=True), extra=extra)
    assert by_id(got, ["item_0", "item_1"]) == [["a", "b"], ["c", "d"]]
    assert len(got["interactions"]) == 4
    ids = got["items"].set_index("item_index")["item_id"]
    assert [ids[item] for item in got["timeline"]["item_index"]] == ["x", "b", "c", "d"]
    assert got["slates"]["history_end"].tolist() == [1, 2]


def test_given_slates_may_interleave(cut: Cut) -> None:
    events = [
        ("1", "a", 1, 1, "s", 0),
        ("1", "b", 2, 1, "t", 0),
        ("1", "c", 3, 1, "s", 1),
        ("1", "d", 4, 0, "t", 1),
    ]
    got = cut(events, SlateRule(size=2, given=True), extra=("slate_id", "position"))
    assert by_id(got, ["item_0", "item_1"]) == [["a", "c"], ["b", "d"]]
    assert got["slates"]["history_end"].tolist() == [0, 1]


def test_split_by_user_modulo(cut: Cut) -> None:
    events = [(str(user), "a", user, 1) for user in (13, 24, 6, 37)]
    rule = SplitRule("user_modulo", modulo=10, train_remainders=(3, 4))
    got = cut(events, SlateRule(size=1), rule)
    assert got["slates"]["split"].tolist() == ["test", "train", "train", "test"]


@pytest.mark.parametrize(("offset", "train"), [(0, 2), (8, 1)])
def test_split_by_day_follows_the_log_s_time_zone(cut: Cut, offset: int, train: int) -> None:
    noon, evening, next_day = 1_700_049_600, 1_700_085_600, 1_700_100_000  # 15 Nov 2023, UTC
    events = [("u", "a", noon, 1), ("u", "b", evening, 1), ("u", "c", next_day, 1)]
    rule = SplitRule("day", first_test_day="2023-11-16")
    got = cut(events, SlateRule(size=1), rule, utc_offset_hours=offset)
    assert (got["slates"]["split"] == "train").sum() == train


def test_milliseconds_are_split_alike(cut: Cut) -> None:
    events = [("u", "a", 1_700_049_600_000, 1), ("u", "b", 1_700_100_000_000, 1)]
    rule = SplitRule("day", first_test_day="2023-11-16")
    got = cut(events, SlateRule(size=1), rule, time_unit="ms")
    assert got["slates"]["split"].tolist() == ["train", "test"]


def test_a_log_without_complete_slate_or_with_an_empty_split_is_refused(cut: Cut) -> None:
    with pytest.raises(UserError, match="No user has 3 events"):
        cut([("u", "a", 1, 1)], SlateRule(size=3))
    with pytest.raises(UserError, match="test split would be empty: 1 of 1"):
        rule = SplitRule("day", first_test_day="2050-01-01")
        cut([("u", "a", 1, 1)], SlateRule(size=1), rule)
