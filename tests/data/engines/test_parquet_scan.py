"""Both engines read the parquet that others write: every value, in one type, and no more."""

import datetime
import math
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.data.engines.open import open_engine
from hsrl_pipeline.errors import UserError

NAN = math.nan
UTC = datetime.timezone.utc
MOMENT = datetime.datetime(2023, 11, 14, 22, 13, 20, 250_001)
QUICK_START = (
    "--driver-java-options -XX:TieredStopAtLevel=1 --conf spark.sql.codegen.wholeStage=false "
    "pyspark-shell"
)
Scan = Callable[..., pd.DataFrame]
Columns = dict[str, list[Any] | pa.Array]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    config = IngestionConfig(source="tabular", threads=1)
    with open_engine(config, tmp_path_factory.mktemp("engine")) as opened:
        yield opened


def scan_with(
    engine: Engine, path: Path, *columns: str, times: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Return scanned rows in their order, helper columns under names with spaces."""
    names = {f"given_{place}": name for place, name in enumerate(columns)}
    typed = [given for given, name in names.items() if name in times]
    rows = engine.scan_parquet(path, names, times=typed)
    rows = engine.backend.to_pyarrow(rows.order_by("file_order", "line"))
    names |= {"file": "of file", "line": "at line", "file_order": "of order"}
    return rows.to_pandas(types_mapper=pd.ArrowDtype).rename(columns=names)


@pytest.fixture
def scan(engine: Engine) -> Scan:
    """Return a function that scans parquet files in the order of their rows."""
    return partial(scan_with, engine)


def write(path: Path, columns: Columns, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, **options)
    return path


def values(rows: pd.DataFrame, column: str = "v") -> list[Any]:
    found = rows[column].astype(object)
    return found.where(found.notna(), None).tolist()


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
@pytest.mark.parametrize(
    "given",
    [
        [1.0, 5.0, NAN],
        [5.0, NAN, 5.0],  # statistics say: 5 and nothing else
        [NAN, NAN],
        [0.0, NAN],
        [None, NAN, 2.0],
        [math.inf, -math.inf, NAN],
    ],
)
def test_nan_is_missing_whatever_statistics_say(
    tmp_path: Path, scan: Scan, given: list[float | None], kind: pa.DataType
) -> None:
    path = write(tmp_path / "v.parquet", {"v": pa.array(given, kind)})
    expected = [None if value is None or math.isnan(value) else value for value in given]
    assert values(scan(path, "v")) == expected


def test_nan_is_missing_in_comparisons(tmp_path: Path, engine: Engine) -> None:
    path = write(tmp_path / "v.parquet", {"v": [4.0, NAN, 5.0, 1.0]})
    rows = engine.scan_parquet(path, {"v": "v"})
    counted = rows.agg(
        above=(rows.v > 3).sum(), missing=rows.v.isnull().sum(), below=(rows.v <= 3).sum()
    ).execute()
    assert counted.iloc[0].tolist() == [2, 1, 1]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kolkata"])
def test_times_of_every_unit_are_read(
    tmp_path: Path, scan: Scan, unit: str, zone: str | None
) -> None:
    moment = MOMENT if zone is None else MOMENT.replace(tzinfo=UTC)
    before = datetime.datetime(1969, 12, 31, 23, 59, 59, tzinfo=moment.tzinfo)
    path = write(
        tmp_path / "t.parquet", {"t": pa.array([moment, None, before], pa.timestamp(unit, zone))}
    )
    read = scan(path, "t", times=("t",)).t
    within = {"s": 0, "ms": 250_000_000, "us": 250_001_000, "ns": 250_001_000}[unit]
    assert read[0] == {"seconds": 1_700_000_000, "nanoseconds": within}
    assert read[1] is pd.NA or read[1]["seconds"] is None
    assert read[2] == {"seconds": -1, "nanoseconds": 0}


def test_days_and_times_of_96_bits_are_read(tmp_path: Path, scan: Scan) -> None:
    path = write(
        tmp_path / "t.parquet",
        {"t": pa.array([MOMENT], pa.timestamp("us")), "d": [datetime.date(2024, 5, 31)]},
        use_deprecated_int96_timestamps=True,
    )
    rows = scan(path, "t", "d", times=("t", "d"))
    assert rows.t[0] == {"seconds": 1_700_000_000, "nanoseconds": 250_001_000}
    assert rows.d[0] == {"seconds": 1_717_113_600, "nanoseconds": 0}


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ([pa.array([1], pa.int32()), pa.array([2**40])], [1, 2**40]),
        ([pa.array([1], pa.int8()), pa.array([2**31], pa.uint32())], [1, 2**31]),
        ([pa.array([True]), pa.array([0])], [1, 0]),
        ([pa.array([2**53 + 1]), pa.array([7.0, 7.5, NAN])], [str(2**53 + 1), "7", "7.5", None]),
        ([pa.array([1]), pa.array([2**64 - 1], pa.uint64())], ["1", str(2**64 - 1)]),
        ([pa.array([0.5], pa.float32()), pa.array([0.1])], [0.5, 0.1]),
        ([pa.array(["007"]), pa.array([7])], ["007", "7"]),
        ([pa.array(["a"]), pa.array([NAN, 7.0])], ["a", None, "7"]),
        ([pa.array([1]), pa.array([None, None])], [1, None, None]),
        ([pa.array([None]), pa.array(["x"])], [None, "x"]),
        ([pa.array([None], pa.float64()), pa.array(["x"])], [None, "x"]),
        ([pa.array(["x"]).dictionary_encode(), pa.array(["y"])], ["x", "y"]),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_types_of_parts_are_brought_together(
    tmp_path: Path, scan: Scan, arrays: list[pa.Array], expected: list[object], *, reverse: bool
) -> None:
    first = arrays[0]
    arrays = arrays[::-1] if reverse else arrays
    for place, array in enumerate(arrays):
        write(tmp_path / f"part-{place}.parquet", {"v": array, "other": [place] * len(array)})
    if reverse:
        expected = expected[len(first) :] + expected[: len(first)]
    rows = scan(tmp_path, "v")
    assert values(rows) == expected
    assert rows["of file"].tolist() == [
        f"part-{k}.parquet" for k, a in enumerate(arrays) for _ in a
    ]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (pa.array([100]), pa.array([200.25]), [100.0, 200.25]),
        (
            pa.array([MOMENT], pa.timestamp("ns", "UTC")),
            pa.array([datetime.date(2023, 11, 14)]),
            [
                {"seconds": 1_700_000_000, "nanoseconds": 250_001_000},
                {"seconds": 1_699_920_000, "nanoseconds": 0},
            ],
        ),
    ],
)
def test_times_of_parts_are_brought_together(
    tmp_path: Path, scan: Scan, first: pa.Array, second: pa.Array, expected: list[object]
) -> None:
    for place, array in enumerate([first, second]):
        write(tmp_path / f"part-{place}.parquet", {"v": array})
    assert values(scan(tmp_path, "v", times=("v",))) == expected


def test_times_in_some_parts_and_numbers_in_others_are_refused(tmp_path: Path, scan: Scan) -> None:
    write(tmp_path / "part-0.parquet", {"t": [1_700_000_000]})
    write(tmp_path / "part-1.parquet", {"t": pa.array([MOMENT], pa.timestamp("ms"))})
    message = (
        r"'t' holds times \(timestamp\[ms\]\) in .*part-1.parquet and int64 in .*part-0.parquet"
    )
    with pytest.raises(UserError, match=message):
        scan(tmp_path, "t", times=("t",))


def test_empty_parts_decide_nothing(tmp_path: Path, scan: Scan) -> None:
    write(tmp_path / "part-0.parquet", {"v": pa.array([], pa.float64())})
    write(tmp_path / "part-1.parquet", {"w": [2, 3], "v": ["a", "b"]})
    write(tmp_path / "part-2.parquet", {"unrelated": pa.array([], pa.null())})
    write(tmp_path / "part-3.parquet", {"v": ["c"], "w": [1]})
    rows = scan(tmp_path, "v", "w")
    assert values(rows) == ["a", "b", "c"]
    assert values(rows, "w") == [2, 3, 1]
    assert rows["at line"].tolist() == [1, 2, 1]


def test_a_log_without_a_row_is_refused(tmp_path: Path, scan: Scan) -> None:
    write(tmp_path / "part-0.parquet", {"v": pa.array([], pa.float64())})
    with pytest.raises(UserError, match="holds no row"):
        scan(tmp_path, "v")


def test_the_part_that_lacks_a_column_is_named(tmp_path: Path, scan: Scan) -> None:
    write(tmp_path / "part-0.parquet", {"v": [1]})
    write(tmp_path / "part-1.parquet", {"V": [1], "w": [2]})
    with pytest.raises(UserError, match=r"part-1.parquet has no column 'v'.* are 'V', 'w'"):
        scan(tmp_path, "v")


@pytest.mark.parametrize(
    "array",
    [
        pa.array([["a", "b"]]),
        pa.array([{"x": 1}]),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    ],
)
def test_nested_values_are_refused_by_name(tmp_path: Path, scan: Scan, array: pa.Array) -> None:
    path = write(tmp_path / "v.parquet", {"v": array})
    with pytest.raises(UserError, match=r"The column 'v' holds .*not one value.*v\.parquet"):
        scan(path, "v")


@pytest.mark.parametrize(
    "clashing",
    [
        "filename",
        "file_row_number",
        "file_index",
        "FILE_ROW_NUMBER",
        "file_path",
        "file_order",
        "line",
        "reason",
        "_metadata",
        "V",
        'with "quotes" and `ticks`',
        "a.b",
        "part_order",
    ],
)
def test_columns_may_have_any_name(tmp_path: Path, scan: Scan, clashing: str) -> None:
    for place in range(2):
        write(
            tmp_path / f"part-{place}.parquet",
            {clashing: [f"own {place}", None], "v": [10 * place, 10 * place + 1]},
        )
    rows = scan(tmp_path, "v", clashing)
    assert values(rows) == [0, 1, 10, 11]
    assert values(rows, clashing) == ["own 0", None, "own 1", None]
    assert rows["at line"].tolist() == [1, 2, 1, 2]
    assert values(scan(tmp_path, "v")) == [0, 1, 10, 11]


@pytest.mark.parametrize("name", ["a[1]", "a b", "a%20b", "it's", "ü", "a?", "{a}"])
def test_files_and_folders_may_have_any_name(tmp_path: Path, scan: Scan, name: str) -> None:
    for place in range(2):
        write(tmp_path / name / f"{name}-{place}.parquet", {"v": [place]})
    assert values(scan(tmp_path / name, "v")) == [0, 1]
    assert values(scan(tmp_path / name / f"{name}-1.parquet", "v")) == [1]
    assert values(scan(tmp_path / name / "*.parquet", "v")) == [0, 1]


def test_partition_folders_are_columns_that_files_need_not_have(tmp_path: Path, scan: Scan) -> None:
    write(tmp_path / "day=2023-11-14/shop=007/p.parquet", {"v": [1, 2]})
    write(tmp_path / "day=2023-11-15/shop=a%20b/p.parquet", {"v": [3]})
    write(tmp_path / "day=2023-11-16/shop=__HIVE_DEFAULT_PARTITION__/p.parquet", {"v": [4]})
    rows = scan(tmp_path, "v", "shop", "day", times=("day",))
    assert values(rows) == [1, 2, 3, 4]
    assert values(rows, "shop") == ["007", "007", "a b", None]
    assert [day["seconds"] for day in rows.day] == [
        1_699_920_000,
        1_699_920_000,
        1_700_006_400,
        1_700_092_800,
    ]
    assert values(scan(tmp_path / "day=2023-11-14/shop=007/p.parquet", "shop"), "shop") == [
        "007",
        "007",
    ]


def test_columns_of_files_count_before_partition_folders(tmp_path: Path, scan: Scan) -> None:
    write(tmp_path / "v=1/p.parquet", {"v": [5]})
    write(tmp_path / "v=2/p.parquet", {"v": [6]})
    assert values(scan(tmp_path, "v")) == [5, 6]


def test_a_column_that_is_in_a_file_here_and_a_folder_there_is_refused(
    tmp_path: Path, scan: Scan
) -> None:
    write(tmp_path / "p.parquet", {"v": [1], "day": [5]})
    write(tmp_path / "day=6/p.parquet", {"v": [1]})
    with pytest.raises(UserError, match=r"'day' is in .*p\.parquet.*name of a folder"):
        scan(tmp_path, "day")


@pytest.mark.slow
def test_pyspark_reads_what_duckdb_reads(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Java is not installed")
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", QUICK_START)
    folder = tmp_path / "a [1] b%20"
    moments = [MOMENT, None]
    kinds = [pa.int32(), pa.int64(), pa.float64(), pa.string()]
    for place, unit in enumerate(["s", "ms", "us", "ns"]):
        zone = "UTC" if place % 2 else None
        write(
            folder / f"day=2024-01-0{place + 1}" / "p.parquet",
            {
                "t": pa.array(moments, pa.timestamp(unit, zone)),
                "id": pa.array([place, None]).cast(kinds[place]),
                "v": pa.array([NAN, 0.5], pa.float32() if place else pa.float64()),
                "file_path": ["own", None],
                **({"_metadata": [1, 2], "V": [3, 4]} if place == 1 else {}),
            },
        )
    write(folder / "_temporary" / "p.parquet", {"t": [1]})
    arguments = (folder, "t", "id", "v", "file_path", "day")
    config = IngestionConfig(source="tabular", engine="pyspark", spark_master="local[1]")
    expected = scan_with(engine, *arguments, times=("t", "day"))
    with open_engine(config, tmp_path / "work") as spark:
        got = scan_with(spark, *arguments, times=("t", "day"))
    for column in expected:
        assert values(got, column) == values(expected, column), column
    assert values(expected, "v") == [None, 0.5] * 4
