"""No value that a user brings is lost or changed without a word."""

import math
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hsrl_pipeline.errors import UserError

START = 1_700_000_000
LABELLED = {"columns": {"label": "label"}}


def parquet(columns: dict[str, Any]) -> bytes:
    target = BytesIO()
    pq.write_table(pa.table(columns), target)
    return target.getvalue()


def events(**columns: Any) -> dict[str, Any]:
    """Return 12 events of 3 users, some columns replaced or added."""
    return {
        "user_id": [f"u{k // 4}" for k in range(12)],
        "item_id": [f"i{k % 4}" for k in range(12)],
        "timestamp": [START + 60 * k for k in range(12)],
        "label": [k % 2 for k in range(12)],
        **columns,
    }


def with_gap(values: list[float], kind: pa.DataType) -> pa.Array:
    return pa.array([math.nan, *values[1:]], kind)


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("stars", [5.0] * 12, "stars is missing"),
        ("stars", [k / 2 for k in range(12)], "stars is missing"),
        ("timestamp", [float(2**20 * (k + 1)) for k in range(12)], "timestamp is missing"),
        ("user_id", [float(k // 4) for k in range(12)], "user_id is missing"),
        ("item_id", [float(k % 4) for k in range(12)], "item_id is missing"),
    ],
)
def test_nan_is_missing_in_events(
    land: Callable[..., Any],
    kind: pa.DataType,
    column: str,
    values: list[float],
    reason: str,
) -> None:
    log = events(**{"stars": [4.0] * 12, column: with_gap(values, kind)})
    settings = {
        "on_bad_rows": "drop",
        "slate_size": 1,
        "tabular": {"events": "e.parquet", "columns": {"value": "stars"}},
    }
    accounts = land("tabular", {"tabular/e.parquet": parquet(log)}, **settings)
    assert [(bad.reason, bad.count, bad.line) for bad in accounts.bad] == [(reason, 1, 1)]


def test_nan_is_no_label_and_no_place(land: Callable[..., Any]) -> None:
    places = with_gap([float(k % 2) for k in range(12)], pa.float64())
    log = events(label=with_gap([1.0] * 12, pa.float64()), shown=[k // 2 for k in range(12)])
    mapping = {"events": "e.parquet", "columns": {"label": "label", "slate": "shown"}}
    settings = {"on_bad_rows": "drop", "slate_size": 2, "tabular": mapping}
    accounts = land("tabular", {"tabular/e.parquet": parquet(log)}, **settings)
    assert accounts.bad[0].reason == "label is not 0 or 1"
    log = events(place=places, shown=[k // 2 for k in range(12)])
    mapping["columns"] = {"label": "label", "slate": "shown", "position": "place"}
    accounts = land("tabular", {"tabular/e.parquet": parquet(log)}, **settings)
    assert accounts.bad[0].reason == "position is missing"


@pytest.mark.parametrize("gap", ["nan", "NaN", ""])
def test_nan_in_text_is_missing(land: Callable[..., Any], gap: str) -> None:
    rows = [f"u{k // 4},i{k % 4},{START + k},{gap if k == 0 else 4}" for k in range(12)]
    log = "\n".join(["user_id,item_id,timestamp,stars", *rows, ""])
    mapping = {"columns": {"value": "stars"}}
    with pytest.raises(UserError, match="stars is missing"):
        land("tabular", {"tabular/events.csv": log.encode()}, slate_size=2, tabular=mapping)


@pytest.mark.parametrize(
    "places",
    [
        pa.array([float(k % 2) for k in range(12)]),
        pa.array([float(k % 2) for k in range(12)], pa.float32()),
        pa.array([f"{k % 2}.0" for k in range(12)]),
        pa.array([f"{k % 2}." for k in range(12)]),
        pa.array([k % 2 for k in range(12)], pa.uint64()),
        pa.array([k % 2 for k in range(12)]).cast(pa.decimal128(22, 2)),
    ],
)
def test_whole_decimals_are_positions(ingest: Callable[..., Any], places: pa.Array) -> None:
    log = events(place=places, shown=[k // 2 for k in range(12)])
    columns = {"label": "label", "slate": "shown", "position": "place"}
    tables = ingest(
        "tabular",
        {"tabular/e.parquet": parquet(log)},
        slate_size=2,
        tabular={"events": "e.parquet", "columns": columns},
    )
    assert tables.interactions.position.tolist() == [0, 1] * 6


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (0.5, "position is not a whole number"),
        ("0.5", "position is not a whole number"),
        (math.inf, "position is not a whole number"),
        (2**64 - 1, "position is not a whole number"),
        (200.0, "position is outside 0 to 127"),
    ],
)
def test_other_positions_are_named(land: Callable[..., Any], place: object, reason: str) -> None:
    kind = pa.uint64() if isinstance(place, int) else None
    places = pa.array([place, *(type(place)(k % 2) for k in range(1, 12))], kind)
    log = events(place=places, shown=[k // 2 for k in range(12)])
    columns = {"label": "label", "slate": "shown", "position": "place"}
    with pytest.raises(UserError, match=reason):
        land(
            "tabular",
            {"tabular/e.parquet": parquet(log)},
            slate_size=2,
            tabular={"events": "e.parquet", "columns": columns},
        )


def fine_times(kind: str) -> Any:
    """Return times a few nanoseconds to milliseconds apart, the latest first."""
    back = [11 - k for k in range(12)]
    if kind in ("ms", "us", "ns"):
        scale = {"ms": 10**3, "us": 10**6, "ns": 10**9}[kind]
        return pa.array([START * scale + k for k in back], pa.timestamp(kind, "UTC"))
    if kind == "text":
        return [f"2023-11-14 22:13:20.{k:06d}+00" for k in back]
    if kind == "seconds":
        return [START + k / 16 for k in back]
    return [START * 1000 + k / 16 for k in back]


@pytest.mark.parametrize("kind", ["ms", "us", "ns", "text", "seconds", "milliseconds"])
def test_events_of_one_second_follow_their_time(ingest: Callable[..., Any], kind: str) -> None:
    log = events(
        user_id=["u"] * 12, item_id=[f"i{k}" for k in range(12)], timestamp=fine_times(kind)
    )
    time_format = {"text": "datetime", "milliseconds": "ms"}.get(kind, "s")
    tables = ingest(
        "tabular",
        {"tabular/e.parquet": parquet(log)},
        slate_size=2,
        tabular={"events": "e.parquet", "time_format": time_format, **LABELLED},
    )
    ids = tables.items.set_index("item_index").item_id
    assert ids[tables.interactions.item_index].tolist() == [f"i{k}" for k in range(11, -1, -1)]
    scale = 1000 if kind == "milliseconds" else 1
    assert set(tables.interactions.timestamp) == {START * scale}
    assert "nanoseconds" not in {*tables.interactions, *tables.slates}


def test_slates_of_one_second_follow_their_last_event(ingest: Callable[..., Any]) -> None:
    times = [START * 1000 + 100 * (11 - k) for k in range(12)]  # u2 first, u0 last
    log = events(timestamp=pa.array(times, pa.timestamp("ms")))
    tables = ingest(
        "tabular",
        {"tabular/e.parquet": parquet(log)},
        slate_size=4,
        train_share=0.5,
        tabular={"events": "e.parquet", **LABELLED},
    )
    ids = tables.users.set_index("user_index").user_id
    assert ids[tables.slates.user_index].tolist() == ["u2", "u1", "u0"]


def test_rows_a_fraction_of_a_second_apart_do_not_repeat(land: Callable[..., Any]) -> None:
    times = [START * 1000 + 10 * k for k in range(12)]
    log = events(
        user_id=["u"] * 12,
        item_id=["i"] * 12,
        label=[1] * 12,
        timestamp=pa.array(times, pa.timestamp("ms")),
    )
    files = {"tabular/e.parquet": parquet(log)}
    mapping = {"events": "e.parquet", **LABELLED}
    assert land("tabular", files, slate_size=2, tabular=mapping).rows_out == 12
    log["timestamp"] = pa.array([START * 1000] * 12, pa.timestamp("ms"))
    files = {"tabular/e.parquet": parquet(log)}
    with pytest.raises(UserError, match="11 x duplicate row"):
        land("tabular", files, slate_size=2, tabular=mapping)


def test_an_item_shown_in_two_lists_at_one_time_is_no_repeated_row(
    land: Callable[..., Any],
) -> None:
    lists = {"user_id": ["u"] * 4, "item_id": ["i", "k", "i", "k"], "timestamp": [START] * 4}
    log = pd.DataFrame(lists | {"label": [0, 1, 0, 0], "list": ["a", "a", "b", "b"]})
    mapping = {"events": "e.parquet", "columns": {"label": "label", "slate": "list"}}
    landed = land("tabular", {"tabular/e.parquet": parquet(log)}, slate_size=2, tabular=mapping)
    assert landed.rows_out == 4
    log["list"] = "a"
    with pytest.raises(UserError, match="1 x duplicate row"):
        land("tabular", {"tabular/e.parquet": parquet(log)}, slate_size=2, tabular=mapping)


def test_a_typed_log_of_whole_seconds_gives_the_tables_of_one_in_numbers(
    ingest: Callable[..., Any],
) -> None:
    typed = events(timestamp=pa.array([START + 60 * k for k in range(12)], pa.timestamp("s")))
    versions = [
        ingest(
            "tabular",
            {"tabular/e.parquet": parquet(log)},
            slate_size=2,
            tabular={"events": "e.parquet", **LABELLED},
        ).info.version
        for log in (events(), typed)
    ]
    assert versions[0] == versions[1]


def test_nan_is_missing_in_features(ingest: Callable[..., Any]) -> None:
    items = {
        "item_id": [f"i{k}" for k in range(4)],
        "price": [math.nan, 1.0, 2.0, 3.0],
        "title": pa.array(["a", None, "c", "d"]).dictionary_encode(),
    }
    users = {
        "user_id": ["u0", "u1", "u2"],
        "age": [math.nan, 3.0, 3.0],
        "rank": [1.0, math.nan, 1.0],
    }
    tables = ingest(
        "tabular",
        {
            "tabular/e.parquet": parquet(events()),
            "tabular/items.parquet": parquet(items),
            "tabular/users.parquet": parquet(users),
        },
        slate_size=4,
        tabular={
            "events": "e.parquet",
            "items": {"file": "items.parquet", "numbers": ["price"], "title": "title"},
            "users": {"file": "users.parquet", "categories": ["age"], "numbers": ["rank"]},
            **LABELLED,
        },
    )
    assert tables.accounts.notes["items without price"] == 1
    assert tables.items.content_price[0] == 0
    assert tables.users.category_age.tolist() == [0, 1, 1]
    assert tables.users.dense_rank.tolist() == [0, 0, 0]


def test_nan_in_text_features_is_missing(ingest: Callable[..., Any]) -> None:
    tables = ingest(
        "tabular",
        {
            "tabular/e.parquet": parquet(events()),
            "tabular/items.csv": b"item_id,price\ni0,nan\ni1,1\ni2,2\ni3,3\n",
        },
        slate_size=2,
        tabular={
            "events": "e.parquet",
            "items": {"file": "items.csv", "numbers": ["price"]},
            **LABELLED,
        },
    )
    assert tables.accounts.notes["items without price"] == 1
    assert tables.accounts.bad == ()


@pytest.mark.parametrize(
    "tags",
    [
        pa.array([["Drama", "Sci-Fi"], [], None, ["Drama", None]]),
        pa.array(["Drama|Sci-Fi", "", None, "Drama"]),
        pa.array([["Drama", "Sci-Fi"], [], None, ["Drama"]], pa.large_list(pa.string())),
    ],
)
def test_lists_are_tags(ingest: Callable[..., Any], tags: pa.Array) -> None:
    items = {"item_id": [f"i{k}" for k in range(4)], "genres": tags}
    tables = ingest(
        "tabular",
        {"tabular/e.parquet": parquet(events()), "tabular/items.parquet": parquet(items)},
        slate_size=2,
        tabular={
            "events": "e.parquet",
            "items": {"file": "items.parquet", "tags": ["genres"]},
            **LABELLED,
        },
    )
    items = tables.items.set_index("item_id")
    assert tables.info.content_fields == ("genres_drama", "genres_sci_fi")
    assert items.content_genres_drama[["i0", "i1", "i2", "i3"]].tolist() == [1, 0, 0, 1]
    assert items.content_genres_sci_fi[["i0", "i1", "i2", "i3"]].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_feature_columns_may_have_any_name(ingest: Callable[..., Any], suffix: str) -> None:
    names = ["reason", "raw", "line", "file", "file_order", "self", "item_id", "index", "field 0"]
    users = pd.DataFrame({"user_id": ["u0", "u1", "u2"]})
    for place, name in enumerate(names):  # each its own values, so that none is taken for another
        users[name] = [str(10 * place + 7), *[str(10 * place + 8)] * 2]
    content = users.to_csv(index=False).encode()
    tables = ingest(
        "tabular",
        {
            "tabular/e.parquet": parquet(events()),
            f"tabular/users.{suffix}": content
            if suffix == "csv"
            else parquet(users.to_dict("list")),
        },
        slate_size=4,
        tabular={
            "events": "e.parquet",
            "users": {"file": f"users.{suffix}", "categories": names, "numbers": names},
            **LABELLED,
        },
    )
    for place, name in enumerate(names):
        assert tables.category_values[name] == [str(10 * place + 7), str(10 * place + 8)]
        assert tables.users[f"category_{name}"].tolist() == [1, 2, 2]
        # the two values are the training values
        assert tables.users[f"dense_{name}"].tolist() == [-1, 1, 1]


def test_an_id_may_be_a_number_feature_too(ingest: Callable[..., Any]) -> None:
    log = events(item_id=[k % 4 for k in range(12)])
    tables = ingest(
        "tabular",
        {"tabular/e.parquet": parquet(log), "tabular/items.csv": b"item_id\n0\n1\n2\n3\n"},
        slate_size=2,
        tabular={
            "events": "e.parquet",
            "items": {"file": "items.csv", "numbers": ["item_id"]},
            **LABELLED,
        },
    )
    assert tables.items.content_item_id.nunique() == 4


@pytest.mark.parametrize("name", ["filename", "file_row_number", "Label", "reason", "line"])
def test_event_files_may_have_columns_of_any_name(ingest: Callable[..., Any], name: str) -> None:
    log = {name: [f"own {k % 4}" for k in range(12)], **events()}
    tables = ingest(
        "tabular",
        {"tabular/e.parquet": parquet(log)},
        slate_size=2,
        tabular={"events": "e.parquet", "columns": {"label": "label", "item": name}},
    )
    assert sorted(tables.items.item_id) == [f"own {k}" for k in range(4)]


def test_parts_of_other_types_and_unfinished_parts(ingest: Callable[..., Any]) -> None:
    first = events(user_id=pa.array([k // 4 for k in range(12)], pa.int32()))
    second = events(user_id=[2**33 + k // 4 for k in range(12)], label=pa.array([1.0, 0.0] * 6))
    empty = {name: pa.array([], pa.null()) for name in first}
    tables = ingest(
        "tabular",
        {
            "tabular/log/part-0.parquet": parquet(empty),
            "tabular/log/part-1.parquet": parquet(first),
            "tabular/log/part-2.parquet": parquet(dict(reversed(second.items()))),
            "tabular/log/_temporary/0/part-3.parquet": parquet(first),
            "tabular/log/._part-1.parquet": b"no parquet",
        },
        slate_size=2,
        tabular={"events": "log", **LABELLED},
    )
    assert len(tables.interactions) == 24
    assert sorted(tables.users.user_id) == sorted(
        [*(str(k) for k in range(3)), *(str(2**33 + k) for k in range(3))]
    )


def test_a_day_with_fractions_joins_a_log_without(
    tmp_path: Any, ingest: Callable[..., Any]
) -> None:
    settings: dict[str, Any] = {"slate_size": 2, "tabular": {"events": "log", **LABELLED}}
    files = {"tabular/log/a.parquet": parquet(events())}
    assert len(ingest("tabular", files, **settings).interactions) == 12
    later = [(START + 86_400) * 1000 + 10 * (11 - k) for k in range(12)]
    log = events(timestamp=pa.array(later, pa.timestamp("ms")))
    settings["tabular"]["events"] = "day.parquet"
    files = {"tabular/day.parquet": parquet(log)}
    tables = ingest("tabular", files, date="2023-11-15", **settings)
    assert tables.interactions.timestamp.max() == START + 86_400
