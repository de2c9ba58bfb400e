"""The same id is the same text from every kind of file and column, for events and features."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.data.engines.open import open_engine
from hsrl_pipeline.data.events.judging import number_ids
from hsrl_pipeline.data.ids import FRACTION_ID, LONG_ID, ODD_ID, ROUNDED_ID, describe_defects
from hsrl_pipeline.data.sources.feature_files import read_feature_parquet
from hsrl_pipeline.data.sources.source_log import ReadRequest
from hsrl_pipeline.data.sources.tabular_answers import read_recorded_answers
from hsrl_pipeline.errors import UserError

LARGE = "12345678901234567890123456789"
A_UUID = uuid.UUID("6f1c2d3e-0000-4000-8000-00000000000a")
UUIDS = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([A_UUID.bytes], pa.binary(16)))


def texts(*values: str) -> pa.Array:
    return pa.array(values, pa.string())


IDS: dict[str, tuple[pa.Array, list[str]]] = {
    **{
        f"{kind} column": (pa.array([7, 120], kind), ["7", "120"])
        for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint32())
    },
    "uint64 beyond int64": (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
    "float64": (pa.array([7.0, -0.0, 2.0**53 - 1]), ["7", "0", "9007199254740991"]),
    "float32": (pa.array([7.0, 2.0**24 - 1], pa.float32()), ["7", "16777215"]),
    "float16": (pa.array(np.array([7, 2047], np.float16)), ["7", "2047"]),
    "decimal": (pa.array([decimal.Decimal("7.00")]), ["7"]),
    "large decimal": (pa.array([decimal.Decimal(LARGE)]), [LARGE]),
    "leading zeros": (texts("007", "7"), ["007", "7"]),
    "floats as text": (texts("7.0", "8.000", "1.5", "1.50"), ["7", "8", "1.5", "1.50"]),
    "spaces around": (texts(" 7", "a b\t", "\u3000x\xa0"), ["7", "a b", "x"]),
    "odd texts": (texts("12e45", "7.", "o'b\\", "a\nb"), ["12e45", "7.", "o'b\\", "a\nb"]),
    "bytes of text": (pa.array(["café".encode(), b"7.0"]), ["café", "7"]),
    "other bytes": (
        pa.array([b"\xff\x00", b"a\x00", b"\xed\xa0\x80"]),
        ["0xff00", "0x6100", "0xeda080"],
    ),
    "fixed bytes": (pa.array([A_UUID.bytes], pa.binary(16)), [f"0x{A_UUID.hex}"]),
    "large and viewed bytes": (pa.array([b"x"], pa.binary_view()), ["x"]),
    "viewed text": (pa.array(["x"], pa.string_view()), ["x"]),
    "categories of texts": (texts("a", "b", "a").dictionary_encode(), ["a", "b", "a"]),
    "categories of floats": (pa.array([1.0, 2.0]).dictionary_encode(), ["1", "2"]),
    "categories of bytes": (pa.array([b"a"]).dictionary_encode(), ["a"]),
    "UUID": (UUIDS, [str(A_UUID)]),
    "dates": (pa.array([datetime.date(2024, 5, 31)]), ["2024-05-31"]),
}

NO_IDS: dict[str, pa.Array] = {
    "null": pa.nulls(1, pa.int64()),
    "a column of nothing": pa.nulls(1),
    "NaN": pa.array([np.nan]),
    "NaN as float32": pa.array([np.nan], pa.float32()),
    "no bytes": pa.array([b""]),
    "empty and marked texts": texts("", "  ", "nan", "NaN", "NULL", "None", "<NA>", r"\N"),
}

DEFECTS: dict[str, tuple[pa.Array, int]] = {
    "negative float": (pa.array([-7.0]), ODD_ID),
    "negative text": (texts("-7", "-7.0"), ODD_ID),
    "long text": (texts("x" * 257), LONG_ID),
    "fraction": (pa.array([7.5, 1e-7]), FRACTION_ID),
    "infinity": (pa.array([np.inf, -np.inf]), FRACTION_ID),
    "decimal fraction": (pa.array([decimal.Decimal("7.50")]), FRACTION_ID),
    "beyond float64": (pa.array([2.0**53, 1e300]), ROUNDED_ID),
    "beyond float32": (pa.array([2.0**24], pa.float32()), ROUNDED_ID),
    "beyond float16": (pa.array(np.array([2048], np.float16)), ROUNDED_ID),
    "fraction of 16 bits": (pa.array(np.array([7.5], np.float16)), FRACTION_ID),
    "rounded text": (texts("1e+16", "1.23457E+12", "9007199254740993.0"), ROUNDED_ID),
    "beyond 128 bits": (pa.array([decimal.Decimal("1" * 40)], pa.decimal256(45, 0)), ROUNDED_ID),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    config = IngestionConfig(source="tabular", threads=1)
    with open_engine(config, tmp_path_factory.mktemp("engine")) as opened:
        yield opened


def stored(column: pa.Array, folder: Path) -> Path:
    path = folder / "ids.parquet"
    pq.write_table(pa.table({"user": column, "row": np.arange(len(column))}), path)
    return path


def event_ids(engine: Engine, path: Path) -> tuple[list[str | None], list[int | None]]:
    draft = engine.scan_parquet(path, {"user_id": "user", "row": "row"}, ids=["user_id"])
    ids = number_ids(engine, draft, "user_id", numeric=False)
    rows = draft.left_join(ids, draft.user_id == ids.raw_user_id)
    rows = rows.select(ids.user_id.name("id"), ids.user_id_defect, draft.row)
    found = rows.order_by("row").to_pyarrow()
    return found["id"].to_pylist(), found["user_id_defect"].to_pylist()


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_every_kind_have_one_text(kind: str, engine: Engine, tmp_path: Path) -> None:
    column, expected = IDS[kind]
    path = stored(column, tmp_path)
    assert event_ids(engine, path) == (expected, [0] * len(expected))
    features = read_feature_parquet(path, {"user": "user"}, ids=["user"])
    features.read_ids("user")
    assert features.rows["user"].tolist() == expected
    assert not features.accounts.bad


@pytest.mark.parametrize("kind", NO_IDS)
def test_what_stands_for_no_id_is_missing(kind: str, engine: Engine, tmp_path: Path) -> None:
    path = stored(NO_IDS[kind], tmp_path)
    count = len(NO_IDS[kind])
    assert event_ids(engine, path)[0] == [None] * count
    features = read_feature_parquet(path, {"user": "user"}, ids=["user"])
    features.read_ids("user")
    assert [(bad.reason, bad.count) for bad in features.accounts.bad] == [
        ("user is missing", count)
    ]


@pytest.mark.parametrize("values", [[8.0, np.nan], [np.nan, 11.0, 8.0]])
def test_nan_beside_numbers_is_missing(values: list[float], engine: Engine, tmp_path: Path) -> None:
    path = stored(pa.array(values), tmp_path)
    expected = [None if np.isnan(value) else f"{value:g}" for value in values]
    draft = engine.scan_parquet(path, {"user_id": "user"})
    engine.write(number_ids(engine, draft, "user_id", numeric=False), tmp_path / "numbered.parquet")
    numbered = pd.read_parquet(tmp_path / "numbered.parquet")
    assert set(numbered["user_id"]) == set(expected) - {None}
    assert (numbered["user_id_defect"] == 0).all()
    features = read_feature_parquet(path, {"user": "user"}, ids=["user"])
    features.read_ids("user")
    assert features.rows["user"].tolist() == [text for text in expected if text]


@pytest.mark.parametrize("kind", DEFECTS)
def test_ids_that_lost_something_are_defects(kind: str, engine: Engine, tmp_path: Path) -> None:
    column, defect = DEFECTS[kind]
    path = stored(column, tmp_path)
    assert event_ids(engine, path)[1] == [defect] * len(column)
    features = read_feature_parquet(path, {"user": "user"}, ids=["user"])
    features.read_ids("user")
    (bad,) = features.accounts.bad
    assert bad.reason == describe_defects("user", numeric=False)[defect]
    assert (bad.count, bad.line) == (len(column), 1)


def in_parts(*columns: pa.Array, folder: Path) -> Path:
    for place, column in enumerate(columns):
        part = pa.table({"user": column, "row": place * 10 + np.arange(len(column))})
        pq.write_table(part, folder / f"part-{place}.parquet")
    return folder


MIXED: dict[str, tuple[list[pa.Array], list[str | None], list[int]]] = {
    "rounded float32 beside int64": (
        [pa.array([2**24 + 1]), pa.array([2.0**24 - 1, 2.0**24, 2.0**60, 7.0], pa.float32())],
        ["16777217", "16777215", None, None, "7"],
        [0, 0, ROUNDED_ID, ROUNDED_ID, 0],
    ),
    "rounded float32 beside float64": (
        [pa.array([2.0**24 + 1, 2.0**53]), pa.array([2.0**24], pa.float32())],
        ["16777217", None, None],
        [0, ROUNDED_ID, ROUNDED_ID],
    ),
    "rounded float16 beside text": (
        [texts("2048"), pa.array(np.array([2047, 2048], np.float16))],
        ["2048", "2047", None],
        [0, 0, ROUNDED_ID],
    ),
    "fractions beside int64": (
        [pa.array([7]), pa.array([7.5, 1e-7, -np.inf, np.nan, 8.0])],
        ["7", None, None, None, None, "8"],
        [0, FRACTION_ID, FRACTION_ID, FRACTION_ID, 0, 0],
    ),
    "fractions beside text": (
        [texts("7.5", "7.0"), pa.array([decimal.Decimal("7.50"), decimal.Decimal("9.00")])],
        ["7.5", "7", None, "9"],
        [0, 0, FRACTION_ID, 0],
    ),
    "bytes and UUIDs beside text": (
        [texts("7", str(A_UUID)), pa.array([b"7", b"\xff"]), UUIDS],
        ["7", str(A_UUID), "7", "0xff", str(A_UUID)],
        [0] * 5,
    ),
}


@pytest.mark.parametrize("kind", MIXED)
def test_ids_in_parts_of_other_types_follow_the_rules_of_one_file(
    kind: str, engine: Engine, tmp_path: Path
) -> None:
    columns, expected, defects = MIXED[kind]
    path = in_parts(*columns, folder=tmp_path)
    found, found_defects = event_ids(engine, path)
    assert [code or 0 for code in found_defects] == defects
    assert [None if code else text for text, code in zip(found, defects, strict=True)] == expected
    features = read_feature_parquet(path, {"user": "user"}, ids=["user"])
    features.read_ids("user")
    assert features.rows["user"].tolist() == [text for text in expected if text]
    reasons = describe_defects("user", numeric=False)
    assert {bad.reason: bad.count for bad in features.accounts.bad} == {
        **{reasons[code]: defects.count(code) for code in defects if code},
        **({"user is missing": 1} if kind == "fractions beside int64" else {}),
    }


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (pa.array([True]), "holds values of type .*, which are no ids"),
        (pa.array([[1]]), "holds list<.*>, not one value in each row"),
        (pa.array([datetime.time(1)]), "holds values of type .*, which are no ids"),
    ],
)
def test_columns_that_hold_no_ids_are_refused(
    column: pa.Array, reason: str, engine: Engine, tmp_path: Path
) -> None:
    path = stored(column, tmp_path)
    with pytest.raises(UserError, match=rf"'user(_id)?' {reason}"):
        event_ids(engine, path)
    with pytest.raises(UserError, match=rf"'user' {reason}"):
        read_feature_parquet(path, {"user": "user"}, ids=["user"]).read_ids("user")


def log_of(users: Any, items: Any, n_events: int = 12) -> pd.DataFrame:
    events = np.arange(n_events)
    return pd.DataFrame(
        {
            "user_id": [users[k // 6] for k in events],
            "item_id": [items[k % len(items)] for k in events],
            "timestamp": 1_700_000_000 + 60 * events,
            "label": events % 2,
        }
    )


def parquet(frame: pd.DataFrame) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink)
    return sink.getvalue().to_pybytes()


def test_floats_in_the_log_find_the_whole_numbers_of_the_features(
    ingest: Callable[..., Any],
) -> None:
    files = {
        "tabular/log.parquet": parquet(log_of([1.0, 2.0], [10.0, 11.0, 12.0])),
        "tabular/items.csv": b"item_id,price\n10,1\n11,2\n12.0,9\n",
        "tabular/users.parquet": parquet(
            pd.DataFrame({"user_id": [b"1", b"2"], "land": ["x", "y"]})
        ),
    }
    mapping = {
        "events": "log.parquet",
        "items": {"file": "items.csv", "numbers": ["price"]},
        "users": {"file": "users.parquet", "categories": ["land"]},
    }
    tables = ingest("tabular", files, slate_size=2, train_share=0.5, tabular=mapping)
    assert tables.items["item_id"].tolist() == ["10", "11", "12"]
    assert (tables.items["content_price"] != 0).all()
    assert tables.category_values == {"land": ["x"]}
    assert tables.accounts.notes["ids of items.csv with spaces around them or .0 behind"] == 1


def test_two_ways_to_write_an_id_in_one_log_are_one_id_and_noted(
    ingest: Callable[..., Any],
) -> None:
    frame = log_of(["1", "2"], ["5", "5.0", "6"])
    files = {"tabular/events.csv": frame.to_csv(index=False).encode()}
    tables = ingest("tabular", files, slate_size=2)
    assert tables.items["item_id"].tolist() == ["5", "6"]
    assert tables.items["item_index"].tolist() == [1, 2]
    assert len(tables.interactions) == 12
    assert tables.accounts.notes == {"item ids with spaces around them or .0 behind": 1}


def test_features_that_know_too_few_ids_are_refused_with_examples(
    ingest: Callable[..., Any],
) -> None:
    files = {
        "tabular/events.csv": log_of(["a", "b"], ["1", "2", "3"]).to_csv(index=False).encode(),
        "tabular/items.csv": b"item_id,price\n01,1\n02,2\n3,9\n",
    }
    mapping = {"items": {"file": "items.csv", "numbers": ["price"]}}
    with pytest.raises(UserError) as refused:
        ingest("tabular", files, slate_size=2, tabular=mapping)
    assert str(refused.value) == (
        "Only 1 of the 3 items of the log have features: the log has ids such as '1', '2' without "
        "features, and the features have ids such as '01', '02' that it lacks (features of items). "
        "Write the ids of items in both files alike, or lower ingestion.min_feature_match from 0.5 "
        "if so few have features."
    )
    tables = ingest("tabular", files, slate_size=2, min_feature_match=0.3, tabular=mapping)
    assert len(tables.items) == 3


def test_too_few_users_with_features_are_refused_too(ingest: Callable[..., Any]) -> None:
    frame = log_of(["a", "b", "c"], ["1", "2", "3"], n_events=18)
    files = {
        "tabular/events.csv": frame.to_csv(index=False).encode(),
        "tabular/users.csv": b"user_id,age\na,3\n",
    }
    mapping = {"users": {"file": "users.csv", "numbers": ["age"]}}
    with pytest.raises(UserError, match=r"Only 1 of the 3 users .* such as 'b', 'c' without feat"):
        ingest("tabular", files, slate_size=2, tabular=mapping)


def test_slates_without_an_id_are_missing_and_not_one_slate(land: Callable[..., Any]) -> None:
    frame = log_of([1, 2], [5, 6, 7])
    frame["list"] = [1.0, 1.0, 2.0, 2.0, np.nan, np.nan, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    files = {"tabular/log.parquet": parquet(frame)}
    mapping = {"events": "log.parquet", "columns": {"label": "label", "slate": "list"}}
    accounts = land("tabular", files, slate_size=2, on_bad_rows="drop", tabular=mapping)
    assert [(bad.reason, bad.count) for bad in accounts.bad] == [("slate_id is missing", 2)]


@pytest.mark.parametrize(
    ("slates", "reason"),
    [
        (pa.array(["", "nan", "None", r"\N", "a", "a"]), "slate_id is missing"),
        (pa.array([1.5, 1.5, 2.5, 2.5, 3.0, 3.0]), "slate_id is a number that is not whole"),
        (
            pa.array([2.0**24] * 4 + [3.0, 3.0], pa.float32()),
            "slate_id is a rounded number, its last digits are lost",
        ),
    ],
)
def test_slate_ids_of_a_part_that_are_no_ids_are_named(
    land: Callable[..., Any], slates: pa.Array, reason: str
) -> None:
    whole = pa.table({**log_of([1], [5, 6], 6), "list": pa.array([10, 10, 11, 11, 12, 12])})
    odd = pa.table({**log_of([2], [5, 6], 6), "list": slates})
    files = {
        f"tabular/log/part-{place}.parquet": parquet(part.to_pandas(types_mapper=pd.ArrowDtype))
        for place, part in enumerate([whole, odd])
    }
    mapping = {"events": "log", "columns": {"label": "label", "slate": "list"}}
    accounts = land("tabular", files, slate_size=2, on_bad_rows="drop", tabular=mapping)
    assert [(bad.reason, bad.count, bad.line) for bad in accounts.bad] == [(reason, 4, 1)]
    assert accounts.rows_out == 8


def test_recorded_answers_name_ids_as_the_log_does(tmp_path: Path) -> None:
    folder = tmp_path / "raw" / "tabular"
    folder.mkdir(parents=True)
    pd.DataFrame({"user_id": [1.0, 2.0], "item_id": [b"5", b"6"], "label": [1, 0]}).to_parquet(
        folder / "answers.parquet"
    )
    config = IngestionConfig(source="tabular", tabular={"recorded_answers": "answers.parquet"})
    answers, _ = read_recorded_answers(ReadRequest(tmp_path / "raw", tmp_path, config, seed=0))
    assert answers.to_numpy().tolist() == [["1", "5", 1], ["2", "6", 0]]
