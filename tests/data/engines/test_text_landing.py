from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hsrl_pipeline.data.engines import text_blocks
from hsrl_pipeline.data.engines.text_landing import TextForm, land_csv
from hsrl_pipeline.errors import UserError


def rows(path: Path) -> list[dict[str, object]]:
    return pq.read_table(path).to_pylist()


def land(
    file: Path,
    target: Path,
    columns: dict[str, str],
    form: TextForm | None = None,
    names: Sequence[str] | None = None,
) -> list[dict[str, object]]:
    return rows(land_csv([file], target, columns, form or TextForm(), names=names))


def land_fields(
    file: Path, target: Path, names: Sequence[str], separator: str
) -> list[dict[str, object]]:
    form = TextForm(separator, quoted=False)
    return land(file, target, {name: name for name in names}, form, names)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log.txt"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "landed.parquet"


@pytest.mark.parametrize("block", [1, 3, 7, 1000])
def test_lines_do_not_depend_on_the_size_of_blocks(
    file: Path, target: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_blocks, "BLOCK_BYTES", block)
    file.write_text("1::one\n\n3::three\r\n4::vier")
    landed = land_fields(file, target, ("number", "word"), "::")
    assert [(row["line"], row["word"]) for row in landed] == [
        (1, "one"),
        (3, "three"),
        (4, "vier"),
    ]


@pytest.mark.parametrize("separator", ["::", "\t", "@@@"])
def test_fields_are_split_and_odd_lines_stand_at_the_end(
    file: Path, target: Path, separator: str
) -> None:
    file.write_text(f"1{separator}2\nlonely\n3{separator} 4 \n\n5{separator}\n")
    landed = land_fields(file, target, ("a", "b"), separator)
    assert [(row["line"], row["a"], row["b"], row["reason"]) for row in landed] == [
        (1, "1", "2", None),
        (3, "3", "4", None),
        (5, "5", None, None),
        (2, None, None, "wrong number of fields"),
    ]
    assert landed[-1]["raw"] == "lonely"


def test_quoted_fields_and_malformed_lines_of_csv(file: Path, target: Path) -> None:
    file.write_text('u,i,t\n1,2,3\nx\n\n4,"5,5",6\n7,8,9,9\n,8,9\n')
    landed = land(file, target, {"user_id": "u", "item_id": "i"})
    assert [(row["line"], row["user_id"], row["item_id"]) for row in landed] == [
        (2, "1", "2"),
        (5, "4", "5,5"),
        (7, None, "8"),
        (3, None, None),
        (6, None, None),
    ]
    assert [row["raw"] for row in landed if row["reason"] and row["raw"]] == ["x", "7,8,9,9"]


def test_headerless_csv_takes_given_names(file: Path, target: Path) -> None:
    file.write_text("1;2\n3;4\n")
    landed = land(file, target, {"item_id": "i"}, TextForm(";"), ["u", "i"])
    assert [(row["line"], row["item_id"]) for row in landed] == [(1, "2"), (2, "4")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "log.txt is empty"),
        (b"u;i\n1;2\n", r"has no column 'u', 'i'; read with the separator ',' .* 'u;i'"),
        (b"u,i\n1,2\n3,\xe9\n", r"log.txt is not utf-8 text \(log.txt, line 3\)"),
    ],
)
def test_unreadable_files_are_refused_with_their_place(
    file: Path, target: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=message):
        land(file, target, {"user_id": "u", "item_id": "i"})


def test_an_unknown_encoding_is_named(file: Path, target: Path) -> None:
    file.write_text("a\n")
    with pytest.raises(UserError, match="no text encoding named 'klingon'"):
        land(file, target, {"a": "a"}, TextForm(encoding="klingon"))
