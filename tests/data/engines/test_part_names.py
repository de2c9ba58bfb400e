"""Which names in a folder or behind a pattern are data, for files of every kind."""

from pathlib import Path

import pytest

from hsrl_pipeline.data.engines.part_names import files_below, match_paths

DATA = ("a.csv", "day=1/b.csv", "_day=1/c.csv", "d~e.csv", "partly.csv")
ADMINISTRATIVE = ("_SUCCESS", ".a.csv", "_temporary/b.csv", ".git/c.csv", ".day=1/d.csv")
UNFINISHED = (
    "a.csv.tmp",
    "a.csv.crc",
    "a.csv.part",
    "a.csv.crdownload",
    "a.csv~",
    "copy.tmp/a.csv",
    "_day=1.tmp/a.csv",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*DATA, *ADMINISTRATIVE, *UNFINISHED):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def below(folder: Path, paths: object) -> list[str]:
    assert isinstance(paths, list)
    return sorted(str(path.relative_to(folder)) for path in paths)


def test_administrative_and_unfinished_files_of_a_folder_are_no_data(folder: Path) -> None:
    assert below(folder, list(files_below(folder))) == sorted(DATA)
    assert match_paths(folder) == (folder, [folder])


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["a.csv", "d~e.csv", "partly.csv"]),
        ("*/*.csv", ["_day=1/c.csv", "day=1/b.csv"]),
        ("a*", ["a.csv"]),
        ("a.csv*", ["a.csv"]),
        ("_tem*/*.csv", ["_temporary/b.csv"]),
        (".*.csv", [".a.csv"]),
        ("_*", ["_SUCCESS", "_day=1", "_temporary"]),
        ("*.tmp", ["_day=1.tmp", "a.csv.tmp", "copy.tmp"]),
        ("*~", ["a.csv~"]),
        ("*.tmp/*.csv", ["_day=1.tmp/a.csv", "copy.tmp/a.csv"]),
    ],
)
def test_a_pattern_finds_them_only_where_it_spells_them_out(
    folder: Path, pattern: str, expected: list[str]
) -> None:
    base, found = match_paths(folder / pattern)
    assert base == folder
    assert below(folder, found) == expected


def test_hidden_folders_above_a_pattern_or_folder_do_not_matter(tmp_path: Path) -> None:
    inner = tmp_path / ".cache" / "copy.tmp"
    inner.mkdir(parents=True)
    (inner / "a.csv").touch()
    assert match_paths(inner / "*.csv") == (inner, [inner / "a.csv"])
    assert list(files_below(inner)) == [inner / "a.csv"]


def test_a_link_to_a_folder_above_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.csv").touch()
    (tmp_path / "b" / "again").symlink_to(tmp_path)
    assert list(files_below(tmp_path)) == [tmp_path / "b" / "a.csv"]
