"""Feature files of parquet: parts and types are brought together in memory."""

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hsrl_pipeline.data.engines.parquet_table import read_columns
from hsrl_pipeline.errors import UserError


def write(folder: Path, *arrays: pa.Array) -> Path:
    for place, array in enumerate(arrays):
        pq.write_table(pa.table({"v": array}), folder / f"part-{place}.parquet")
    return folder


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ([pa.array([1.0, math.nan])], [1.0, None]),
        ([pa.array([1.0, math.nan]).dictionary_encode()], [1.0, None]),
        ([pa.array([1.5, math.nan], pa.float16())], [1.5, None]),
        ([pa.array([1], pa.int8()), pa.array([2**40])], [1, 2**40]),
        ([pa.array([1]), pa.array([2.0, 0.5])], ["1", "2", "0.5"]),
        ([pa.array([], pa.float64()), pa.array(["a"])], ["a"]),
        ([pa.array([None]), pa.array(["a"])], [None, "a"]),
        ([pa.array([], pa.float64())], []),
        ([pa.array(["x"]), pa.array([True])], ["x", "1"]),
    ],
)
def test_parts_come_out_in_one_type(
    tmp_path: Path, arrays: list[pa.Array], expected: list[Any]
) -> None:
    assert read_columns(write(tmp_path, *arrays), ["v"])["v"].to_pylist() == expected


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ([pa.array([["a", "b|c"], [], None])], [["a", "b|c"], [], []]),
        ([pa.array([["a", None]], pa.large_list(pa.string()))], [["a"]]),
        ([pa.array([["a", "b"]], pa.list_(pa.string(), 2))], [["a", "b"]]),
        ([pa.array([[1, 2]])], [["1", "2"]]),
        ([pa.array([[1.0, math.nan, 2.5]])], [["1", "2.5"]]),
        ([pa.array([["a"]]), pa.array(["b|c", None])], [["a"], ["b", "c"], []]),
        ([pa.array(["a|b"])], ["a|b"]),
    ],
)
def test_lists_are_taken_where_they_may_be(
    tmp_path: Path, arrays: list[pa.Array], expected: list[Any]
) -> None:
    assert read_columns(write(tmp_path, *arrays), ["v"], ["v"])["v"].to_pylist() == expected


@pytest.mark.parametrize(
    ("array", "lists"),
    [
        (pa.array([["a"]]), []),
        (pa.array([[["a"]]]), ["v"]),
        (pa.array([[{"x": 1}]]), ["v"]),
        (pa.array([{"x": 1}]), ["v"]),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), ["v"]),
    ],
)
def test_other_nested_values_are_refused_by_name(
    tmp_path: Path, array: pa.Array, lists: list[str]
) -> None:
    with pytest.raises(UserError, match=r"The column 'v' holds .*part-0\.parquet"):
        read_columns(write(tmp_path, array), ["v"], lists)


def test_partition_folders_are_columns(tmp_path: Path) -> None:
    for place in range(2):
        (tmp_path / f"shop={place}").mkdir()
        write(tmp_path / f"shop={place}", pa.array([place]))
    table = read_columns(tmp_path, ["shop", "v"])
    assert table.to_pydict() == {"shop": ["0", "1"], "v": [0, 1]}
