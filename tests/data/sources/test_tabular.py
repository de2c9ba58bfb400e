import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.config.ingestion_tabular import TabularConfig
from hsrl_pipeline.data.engines.open import open_engine
from hsrl_pipeline.data.sources.epoch_times import to_epoch
from hsrl_pipeline.errors import UserError

PROJECT = Path(__file__).parents[3]
EVENTS = "tabular/events.csv"


def parquet(frame: pd.DataFrame, path: Path) -> bytes:
    frame.to_parquet(path)
    return path.read_bytes()


def test_labelled_events_are_cut_into_slates(ingest, tabular):
    tables = ingest("tabular", tabular, slate_size=3)
    assert len(tables.slates) == 6
    assert tables.info.slate_size == 3
    assert set(tables.users.user_id) == {"u0", "u1", "u2"}
    assert tables.interactions.label.sum() == 9
    assert tables.interactions.value.isna().all()


def test_values_above_the_threshold_are_positive(ingest):
    rows = "\n".join(f"a;{k % 4};{10 * k};{k / 2}" for k in range(12))
    files = {"tabular/log.txt": f"who;what;when;stars\n{rows}\n".encode()}
    mapping = {
        "events": "log.txt",
        "delimiter": ";",
        "columns": {"user": "who", "item": "what", "timestamp": "when", "value": "stars"},
        "value_range": (0, 5.5),
    }
    tables = ingest("tabular", files, slate_size=2, positive_above=2.0, tabular=mapping)
    np.testing.assert_array_equal(tables.interactions.value, np.arange(12) / 2)
    np.testing.assert_array_equal(tables.interactions.label, np.arange(12) > 4)


def test_given_slates_keep_their_order_of_rows(ingest, tabular):
    rows = []
    for shown, items in enumerate([("c", "a", "b"), ("b", "c", "d"), ("d", "a", "c")]):
        rows += [f"u,{item},{100 * shown},{int(item == 'a')},list{shown}" for item in items]
    files = {EVENTS: ("user_id,item_id,timestamp,label,list\n" + "\n".join(rows) + "\n").encode()}
    mapping = {"columns": {"label": "label", "slate": "list"}}
    tables = ingest("tabular", files, slate_size=3, tabular=mapping)
    ids = tables.items.set_index("item_index").item_id
    shown = tables.slates[["item_0", "item_1", "item_2"]].map(lambda index: ids[index])
    assert shown.to_numpy().tolist() == [["c", "a", "b"], ["b", "c", "d"], ["d", "a", "c"]]


def test_given_positions_rule_over_the_order_of_rows(ingest):
    rows = [
        f"u,{item},{100 * shown},0,{shown},{place}"
        for shown in range(2)
        for item, place in (("a", 1), ("b", 0))
    ]
    header = "user_id,item_id,timestamp,label,list,place\n"
    files = {EVENTS: (header + "\n".join(rows) + "\n").encode()}
    mapping = {"columns": {"label": "label", "slate": "list", "position": "place"}}
    tables = ingest("tabular", files, slate_size=2, train_share=0.5, tabular=mapping)
    ids = tables.items.set_index("item_index").item_id
    assert ids[tables.slates.item_0].tolist() == ["b", "b"]


def test_a_session_gap_keeps_slates_inside_sessions(ingest):
    times = [0, 60, 120, 10_000, 10_060, 10_120, 10_180]
    rows = "\n".join(f"u,i{k},{time},1" for k, time in enumerate(times))
    files = {EVENTS: f"user_id,item_id,timestamp,label\n{rows}\n".encode()}
    mapping = {"columns": {"label": "label"}, "session_gap_minutes": 30}
    tables = ingest("tabular", files, slate_size=2, tabular=mapping, train_share=0.5)
    # 3 events make one slate of 2, 4 make two
    assert tables.interactions.slate_index.tolist() == [0, 0, -1, 1, 1, 2, 2]
    assert tables.slates.session_index.tolist() == [0, 1, 1]


def test_parquet_with_real_times_and_feature_files(ingest, tmp_path):
    start = pd.Timestamp("2024-05-31 18:30:00")
    events = pd.DataFrame(
        {
            "user": np.repeat([7, 8], 6),
            "item": np.tile([1, 2, 3], 4),
            "at": [start + pd.Timedelta(seconds=10 * k) for k in range(12)],
            "bought": np.tile([True, False], 6),
        }
    )
    items = pd.DataFrame({"item": [1, 2, 3], "price": [1.5, None, 9.0], "name": ["x", "y", "z"]})
    files = {
        "tabular/part-0.parquet": parquet(events[:6], tmp_path / "a"),
        "tabular/part-1.parquet": parquet(events[6:], tmp_path / "b"),
        "tabular/items.parquet": parquet(items, tmp_path / "c"),
        "tabular/users.csv": b"user,country,age\n7,NL,31\n8,,\n7,BE,4\n",
    }
    mapping = {
        "events": "part-*.parquet",
        "columns": {"user": "user", "item": "item", "timestamp": "at", "label": "bought"},
        "items": {"file": "items.parquet", "id": "item", "title": "name", "numbers": ["price"]},
        "users": {
            "file": "users.csv",
            "id": "user",
            "categories": ["country"],
            "numbers": ["age"],
        },
    }
    tables = ingest("tabular", files, slate_size=3, tabular=mapping)
    assert tables.interactions.timestamp.min() == 1_717_180_200
    assert tables.interactions.label.tolist() == [1, 0] * 6
    assert tables.items.title.tolist() == ["x", "y", "z"]
    assert tables.items.content_price.tolist() == pytest.approx([-1, 0, 1])
    assert tables.users.category_country.tolist() == [1, 0]
    assert tables.accounts.notes == {
        "items without price": 1,
        "rows of users.csv that repeat a user": 1,
    }


def test_tags_become_content(ingest, tabular):
    tabular["tabular/items.csv"] = b"item_id,genres\ni0,Drama|Sci-Fi\ni1,Drama\ni2,\ni3,War\n"
    mapping = {"columns": {"label": "label"}, "items": {"file": "items.csv", "tags": ["genres"]}}
    tables = ingest("tabular", tabular, slate_size=3, tabular=mapping)
    items = tables.items.set_index("item_id")
    assert tables.info.content_fields == ("genres_drama", "genres_sci_fi", "genres_war")
    assert items.loc["i0", "content_genres_sci_fi"] == 1
    assert (items.loc[["i2", "i4"]].filter(like="content_") == 0).all(axis=None)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    config = IngestionConfig(source="tabular", threads=1)
    with open_engine(config, tmp_path_factory.mktemp("engine")) as opened:
        yield opened


def epochs(engine, texts: list[str | None], time_format: str) -> tuple[list[object], list[bool]]:
    result = read_times(engine, texts, time_format)
    values = [None if pd.isna(value) else int(value) for value in result.seconds]
    return values, [bool(value) for value in result.unreadable.fillna(False)]


def read_times(engine, given: list[object], time_format: str, kind: str = "string") -> pd.DataFrame:
    import ibis

    table = ibis.memtable(pd.DataFrame({"time": given}, dtype=object), schema={"time": kind})
    time = to_epoch(table.time, time_format)
    unreadable = ibis.literal(False) if time.unreadable is None else time.unreadable
    columns = {"seconds": time.whole, "unreadable": unreadable, **time.beyond}
    return engine.backend.execute(table.select(**columns))


def test_dates_and_times_are_read(engine):
    texts = [
        "2024-05-31 18:30:00",
        "2024-05-31T18:30:00Z",
        "2024-05-31 20:30:00+02:00",
        "2024-05-31 13:00:00.25-0530",
        "2024-05-31 18:30",
        "2024-05-31",
        "1969-12-31 23:59:59",
    ]
    seconds, unreadable = epochs(engine, texts, "datetime")
    assert seconds == [1_717_180_200] * 5 + [1_717_113_600, -1]
    assert not any(unreadable)


def test_what_is_no_date_is_unreadable(engine):
    texts = ["31.05.2024", "2024-02-30", "2024-13-01 00:00:00", "yesterday", "1717180200", None, ""]
    seconds, unreadable = epochs(engine, texts, "datetime")
    assert seconds == [None] * 7
    assert unreadable == [True] * 5 + [False, False]


def test_whole_parts_of_decimal_times_are_kept(engine):
    assert epochs(engine, ["1717180200.0", "1717180200.9", "12"], "s")[0] == [
        1_717_180_200,
        1_717_180_200,
        12,
    ]


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("+00", 0),
        ("+00:00", 0),
        ("+0000", 0),
        ("-03", -180),
        ("+05:30", 330),
        ("+0530", 330),
        (" +05:30", 330),
        ("-09:30", -570),
        (" UTC", 0),
        ("Z", 0),
        ("", 0),
    ],
)
@pytest.mark.parametrize("clock", ["18:30", "18:30:00", "18:30:00.123", "18:30:00,123456"])
def test_offsets_of_databases_are_read(engine, clock, text, offset):
    for between in " T":
        found = read_times(engine, [f"2024-05-31{between}{clock}{text}"], "datetime").iloc[0]
        assert found.seconds == 1_717_180_200 - 60 * offset
        digits = clock[9:].ljust(9, "0")
        assert found.nanoseconds == int(digits)


@pytest.mark.parametrize(
    ("given", "kind", "time_format", "expected"),
    [
        ("1717180200.25", "string", "s", ("1717180200", 250_000_000)),
        ("1717180200.1234567891", "string", "s", ("1717180200", 123_456_789)),
        ("1717180200123.5", "string", "ms", ("1717180200123", 500_000)),
        ("1717180200", "string", "s", ("1717180200", 0)),
        (1_717_180_200.25, "float64", "s", (1_717_180_200, 250_000_000)),
        (1_717_180_200_123.5, "float64", "ms", (1_717_180_200_123, 500_000)),
        (1_717_180_200.25, "float64", "datetime", (1_717_180_200, 250_000_000)),
        ("1717180200.25", "decimal(20, 3)", "s", ("1717180200", 250_000_000)),
    ],
)
def test_what_whole_times_leave_out_is_kept(engine, given, kind, time_format, expected):
    found = read_times(engine, [given], time_format, kind).iloc[0]
    assert (found.seconds, found.nanoseconds) == expected


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2199, 1, 1)),
        min_size=1,
        max_size=50,
    )
)
def test_every_date_and_time_agrees_with_the_standard_library(engine, moments):
    moments = [moment.replace(microsecond=0, tzinfo=datetime.timezone.utc) for moment in moments]
    seconds, _ = epochs(
        engine, [moment.strftime("%Y-%m-%d %H:%M:%S") for moment in moments], "datetime"
    )
    assert seconds == [int(moment.timestamp()) for moment in moments]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": {"user": "u"}}, "name a label column or a value column"),
        ({"columns": {"label": "y", "position": "p"}}, "needs a slate column"),
        (
            {"columns": {"label": "y", "slate": "s"}, "session_gap_minutes": 5},
            "not cut by pauses",
        ),
        ({"value_range": (5, 1)}, "first number must be the smaller"),
        ({"colums": {}}, "Extra inputs"),
        ({"time_format": "iso"}, "datetime"),
    ],
)
def test_mappings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        TabularConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"events": "mine.csv"}, r"mine.csv does not exist \(ingestion.tabular.events\)"),
        ({"events": "mine-*.parquet"}, "no parquet file"),
        ({"columns": {"label": "clicked"}}, "events.csv has no column 'clicked'.*'label'"),
        ({"delimiter": ";"}, "has no column 'user_id'"),
        (
            {"items": {"file": "items.csv", "numbers": ["price"]}},
            r"items.csv does not exist \(ingestion.tabular.items.file\)",
        ),
        ({"users": {"file": "events.csv", "categories": ["age"]}}, "has no column 'age'"),
        ({"encoding": "utf-99"}, "no text encoding named 'utf-99'"),
    ],
)
def test_mappings_that_miss_the_files_are_refused(land, tabular, settings, message):
    with pytest.raises(UserError, match=message):
        land("tabular", tabular, tabular={"columns": {"label": "label"}, **settings})


def test_a_damaged_or_incomplete_parquet_feature_file_is_refused(land, tabular, tmp_path):
    tabular["tabular/items.parquet"] = b"PAR1 no more"
    settings = {
        "columns": {"label": "label"},
        "items": {"file": "items.parquet", "numbers": ["price"]},
    }
    with pytest.raises(UserError, match="can't be read as parquet"):
        land("tabular", tabular, tabular=settings)
    frame = pd.DataFrame({"item_id": ["i0"]})
    tabular["tabular/items.parquet"] = parquet(frame, tmp_path / "items")
    with pytest.raises(UserError, match=r"items\.parquet has no column 'price'"):
        land("tabular", tabular, tabular=settings)


def test_the_shipped_parameters_are_valid():
    shipped = yaml.safe_load((PROJECT / "conf/tabular/parameters_ingestion.yml").read_text())
    config = IngestionConfig(source="tabular", **shipped["ingestion"])
    assert config.tabular == TabularConfig()


def test_the_documented_example_works(ingest):
    blocks = (PROJECT / "docs/bring_your_own_data.md").read_text().split("```")
    by_kind = {}
    for block in blocks[1::2]:
        kind, _, content = block.partition("\n")
        by_kind.setdefault(kind, []).append(content)
    events, items, users = by_kind["csv"][:3]
    parameters = yaml.safe_load(by_kind["yaml"][0])["ingestion"]
    files = {
        "tabular/clicks.csv": events.encode(),
        "tabular/products.csv": items.encode(),
        "tabular/people.csv": users.encode(),
    }
    tables = ingest("tabular", files, **parameters)
    assert tables.accounts.bad == ()
    assert tables.info.slate_size == parameters["slate_size"]
    assert tables.info.content_fields
    assert tables.info.category_fields
    assert (tables.items.title.notna()).all()
