"""Which files of a folder or a pattern are data."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hsrl_pipeline.data.engines.parquet_parts import describe_parts, find_parts, seconds_of_days
from hsrl_pipeline.errors import UserError

DATA = ("part-0.parquet", "a/part-1.PARQUET", "a/000000_0", "_day=1/part.parquet", "b c/p.pq")
NO_DATA = (
    "_temporary/0/task/part-0.parquet",
    "_delta_log/1.checkpoint.parquet",
    ".hidden/part.parquet",
    "a/._part-1.parquet",
    "a/_metadata",
    "_SUCCESS",
    ".part-0.parquet.crc",
    "readme.txt",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*DATA, *NO_DATA):
        path = tmp_path / "log" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in ("_SUCCESS", "readme.txt") or name.endswith("crc"):
            path.write_text("no data")
        else:
            pq.write_table(pa.table({"v": [1]}), path)
    return tmp_path / "log"


def found(path: Path, below: Path) -> list[str]:
    return [str(part.relative_to(below)) for part in find_parts(path)]


def test_temporary_and_hidden_files_of_a_folder_are_no_data(folder: Path) -> None:
    assert found(folder, folder) == sorted(DATA)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*/part*.parquet", ["_day=1/part.parquet"]),
        ("**/part*", ["_day=1/part.parquet", "a/part-1.PARQUET", "part-0.parquet"]),
        ("*", sorted(DATA)),
        ("[ab]*", ["a/000000_0", "a/part-1.PARQUET", "b c/p.pq"]),
        ("_temporary/*/*/*.parquet", ["_temporary/0/task/part-0.parquet"]),
        ("_d*/*.parquet", ["_day=1/part.parquet", "_delta_log/1.checkpoint.parquet"]),
    ],
)
def test_patterns_pass_over_them_unless_they_spell_them_out(
    folder: Path, pattern: str, expected: list[str]
) -> None:
    if pattern == "*":
        (folder / "readme.txt").unlink()
    assert found(folder / pattern, folder) == expected


def test_a_file_that_is_named_is_data(folder: Path) -> None:
    path = folder / "a/._part-1.parquet"
    assert find_parts(path) == [path]


def test_brackets_of_folders_above_a_pattern_are_no_pattern(tmp_path: Path) -> None:
    path = tmp_path / "run[1]*" / "p.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"v": [1]}), path)
    assert find_parts(path.parent / "*.parquet") == [path]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    pq.write_table(pa.table({"v": [1]}), tmp_path / "p.parquet")
    (tmp_path / "again").symlink_to(tmp_path)
    assert find_parts(tmp_path) == [tmp_path / "p.parquet"]


@pytest.mark.parametrize("name", ["", "*.parquet", "nowhere/*.parquet"])
def test_nothing_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="no parquet file"):
        find_parts(tmp_path / name)


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    (tmp_path / "part-1.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(UserError, match=r"part-1.parquet can't be read as parquet"):
        describe_parts(find_parts(tmp_path), ["v"])


def test_a_name_that_two_columns_have_is_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["v", "v"])
    pq.write_table(table, tmp_path / "p.parquet")
    with pytest.raises(UserError, match="more than one column 'v'"):
        describe_parts(find_parts(tmp_path), ["v"])


def test_days_in_folder_names_become_seconds() -> None:
    assert seconds_of_days(["1970-01-02", None, "1970-01-01 00:00:05"]) == ["86400", None, "5"]
    assert seconds_of_days(["1970-01-02", "soon"]) is None
    assert seconds_of_days(["1970-13-02"]) is None
