"""Text files of every source: each row in is a row out or named; parts, compression and quotes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from hsrl_pipeline.config.ingestion_tabular import TabularConfig
from hsrl_pipeline.data.accounts import MALFORMED, TEXT_BEHIND_QUOTE, UNCLOSED_QUOTE
from hsrl_pipeline.errors import UserError

Files = dict[str, bytes]

HEADER = "user_id,item_id,timestamp,label,query\n"
ROWS = [
    f"{u},{i},{1_700_000_000 + 100 * u + i},{(u + i) % 2},q{i}\n"
    for u in range(4)
    for i in range(6)
]
COLUMNS = {"columns": {"label": "label"}}


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


PACKERS = {".gz": gzip.compress, ".zst": zstd, ".bz2": bz2.compress, ".xz": lzma.compress}


def tabular_settings(**settings: Any) -> dict[str, Any]:
    return {"slate_size": 2, "tabular": {**COLUMNS, **settings}}


# ---- quotes


OPEN = "0,0,1700000900,0,"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (OPEN + '"red shoes\n', UNCLOSED_QUOTE),
        ('"0' + OPEN[1:] + "x\n", UNCLOSED_QUOTE),
        (OPEN + '"red" shoes\n', TEXT_BEHIND_QUOTE),
        (OPEN + '"red\nshoes",one,two\n', MALFORMED),
    ],
)
@pytest.mark.parametrize("place", [0, 11, 24])
def test_a_stray_quote_costs_its_line_alone(
    land: Callable[..., Any], line: str, reason: str, place: int
) -> None:
    rows = [*ROWS[:place], line, *ROWS[place:]]
    files = {"tabular/events.csv": (HEADER + "".join(rows)).encode()}
    accounts = land("tabular", files, on_bad_rows="drop", **tabular_settings())
    first = accounts.bad[0]
    assert (first.reason, first.line, first.file) == (reason, place + 2, "events.csv")
    n_lines = (HEADER + "".join(rows)).count("\n") - 1
    assert accounts.rows_in == accounts.rows_out + accounts.rows_dropped == n_lines
    assert accounts.rows_out == len(ROWS)
    with pytest.raises(UserError, match=rf"{reason}.*events\.csv, line {place + 2}\)"):
        land("tabular", files, **tabular_settings())


def test_two_stray_quotes_do_not_close_one_another(land: Callable[..., Any]) -> None:
    rows = list(ROWS)
    rows[3] = rows[3].replace("q3", '"q3')
    rows[20] = rows[20].replace("q2", 'q2"')  # an inch mark
    files = {"tabular/events.csv": (HEADER + "".join(rows)).encode()}
    accounts = land("tabular", files, on_bad_rows="drop", **tabular_settings())
    assert (accounts.rows_in, accounts.rows_out, accounts.bad[0].line) == (24, 23, 5)


def test_quoting_can_be_switched_off(ingest: Callable[..., Any]) -> None:
    rows = [row.replace("q3", '"q3') for row in ROWS]
    files = {
        "tabular/events.tsv": (HEADER + "".join(rows)).replace(",", "\t").encode(),
        "tabular/items.tsv": b'item_id\tname\n0\t"Zero\n1\t15" tv\n',
    }
    settings = {"events": "events.tsv", "delimiter": "\t", "quoting": False}
    items = {"file": "items.tsv", "title": "name"}
    tables = ingest(
        "tabular", files, min_feature_match=0, **tabular_settings(**settings, items=items)
    )
    assert tables.event_accounts.rows_out == 24
    titles = tables.items.set_index("item_id").title
    assert (titles["0"], titles["1"]) == ('"Zero', '15" tv')
    with pytest.raises(UserError, match=r"quote is not closed.*ingestion\.tabular\.quoting"):
        ingest("tabular", files, **tabular_settings(**settings | {"quoting": True}))


@pytest.mark.parametrize("delimiter", ['"', "\n", "\r", "¬"])
def test_what_cannot_separate_is_no_delimiter(delimiter: str) -> None:
    with pytest.raises(ValueError, match="delimiter: one ASCII character"):
        TabularConfig(delimiter=delimiter)


def test_line_breaks_in_quotes_work_across_blocks(
    land: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hsrl_pipeline.data.engines.text_blocks.BLOCK_BYTES", 100)
    review = '"good, ""very"" good\r\n\nand cheap' + "x" * 250 + '"'
    rows = [row.replace(f"q{row.split(',')[1]}", review) for row in ROWS]
    rows[5] = rows[5].replace(",1,", ",7,")
    files = {"tabular/events.csv": (HEADER + "".join(rows)).encode()}
    accounts = land("tabular", files, on_bad_rows="drop", **tabular_settings())
    (defect,) = accounts.bad
    assert (defect.reason, defect.line) == ("label is not 0 or 1", 2 + 3 * 5)
    assert (accounts.rows_in, accounts.rows_out) == (24, 23)


# ---- the account of each source


def with_trouble(content: bytes, bad: bytes, header: bool) -> bytes:
    """Put blank lines and a bad line between the rows of a file."""
    lines = content.splitlines(keepends=True)
    first = lines[: int(header)]
    rest = lines[int(header) :]
    return b"".join([*first, b"\n", *rest[:2], bad, b"\r\n", *rest[2:], b"\n\n"])


SOURCES = {
    "ml1m": ("ml1m", "ml-1m/ratings.dat", b'1::"2::3\n', False),
    "ml1m movies": ("ml1m", "ml-1m/movies.dat", b"1::A\n", False),
    "ml1m users": ("ml1m", "ml-1m/users.dat", b"1::A\n", False),
    "ml100k": ("ml100k", "ml-100k/u.data", b'1\t"2\t3\n', False),
    "ml100k movies": ("ml100k", "ml-100k/u.item", b'1|"2|3\n', False),
    "latest": ("ml_latest_small", "ml-latest-small/ratings.csv", b'1,2,3,"4\n', True),
    "latest movies": ("ml_latest_small", "ml-latest-small/movies.csv", b'99,"Ti,tle"s,x\n', True),
    "kuairand": (
        "kuairand_pure",
        "KuaiRand-Pure/data/log_standard_4_22_to_5_08_pure.csv",
        b'0,1,"20220504,1\n',
        True,
    ),
    "kuairand users": (
        "kuairand_pure",
        "KuaiRand-Pure/data/user_features_pure.csv",
        b'0,"full\n',
        True,
    ),
    "rl4rs": ("rl4rs", "rl4rs/rl4rs_dataset_a_sl.csv", b'1@"2@3\n', True),
    "rl4rs items": ("rl4rs", "rl4rs/item_info.csv", b'1 "2 3\n', True),
    "cup": ("bigdatacup", "rl4rs/bigdatacup2021_10k_impressions.csv", b'1,"2,3\n', True),
    "tabular": ("tabular", "tabular/events.csv", b'u0,"i0,1,0\n', True),
    "jester": ("jester", "jester/jester-jokes.csv", b"7,x\n", True),
}
SMALL: dict[str, dict[str, Any]] = {
    "tabular": {"tabular": COLUMNS},
    "jester": {"slate_size": 2, "jester": {"held_back_people": 2, "known_jokes": 2}},
}
EVENTS_PER_LINE = {"rl4rs": 9, "cup": 9}


@pytest.mark.parametrize("name", SOURCES)
def test_every_row_of_every_source_is_out_or_named(
    request: pytest.FixtureRequest, land: Callable[..., Any], name: str
) -> None:
    fixture, file, bad, header = SOURCES[name]
    files: Files = dict(request.getfixturevalue("kuairand" if "kuai" in fixture else fixture))
    source = "rl4rs" if fixture == "bigdatacup" else fixture
    settings = {"on_bad_rows": "drop", **SMALL.get(source, {})}
    before = land(source, files, **settings)
    files[file] = with_trouble(files[file], bad, header)
    after = land(source, files, **settings)
    (defect,) = after.bad
    assert (defect.file, defect.count) == (Path(file).name, 1)
    lines = files[file].decode("latin-1").split("\n")
    assert defect.line == 1 + lines.index(bad.decode().rstrip("\n"))
    # blank lines are no rows, and the bad line is one
    assert (after.rows_in, after.rows_out) == (before.rows_in + 1, before.rows_out)


@pytest.mark.parametrize("line", [",,,", " , ,,", ",,,,extra"])
def test_a_row_of_empty_fields_is_a_row(land: Callable[..., Any], line: str) -> None:
    header = "user_id,item_id,timestamp,label" + ",more" * (line.count(",") - 3)
    rows = [",".join(row.split(",")[: line.count(",") + 1]).rstrip("\n") for row in ROWS]
    files = {"tabular/events.csv": "\n".join([header, *rows, line]).encode()}
    accounts = land("tabular", files, on_bad_rows="drop", **tabular_settings())
    (defect,) = accounts.bad
    assert (defect.reason, defect.line, accounts.rows_in) == ("user_id is missing", 26, 25)


def test_rows_of_feature_files_are_accounted_apart(ingest: Callable[..., Any]) -> None:
    files = {
        "tabular/events.csv": (HEADER + "".join(ROWS)).encode(),
        "tabular/items.csv": b'item_id,price\n0,1\n\n1,dear\n0,2\n,3\n2,"4\n3,5\n , \n',
    }
    items = {"file": "items.csv", "numbers": ["price"]}
    settings = tabular_settings(items=items)
    tables = ingest("tabular", files, on_bad_rows="drop", min_feature_match=0, **settings)
    events = tables.event_accounts
    assert (events.rows_in, events.rows_out, events.bad) == (24, 24, ())
    both = tables.accounts
    assert (both.rows_in - 24, both.rows_out - 24, both.repeated) == (7, 2, 1)
    assert [(defect.reason, defect.line) for defect in both.bad] == [
        (UNCLOSED_QUOTE, 7),
        ("item_id is missing", 6),
        ("price is not a number", 4),
    ]


# ---- compressed files, parts and encodings


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("name", ["events.csv", "events.log", "events"])
def test_compressed_text_is_read(land: Callable[..., Any], suffix: str, name: str) -> None:
    files = {f"tabular/{name}{suffix}": PACKERS[suffix]((HEADER + "".join(ROWS)).encode())}
    accounts = land("tabular", files, **tabular_settings(events=f"{name}{suffix}"))
    assert accounts.rows_in == accounts.rows_out == 24


def test_what_is_compressed_shows_in_the_file_and_not_in_its_name(land: Callable[..., Any]) -> None:
    content = (HEADER + "".join(ROWS)).encode()
    members = gzip.compress(content[:200]) + gzip.compress(content[200:])
    for name, data in (("events.csv", members), ("events.csv.gz", content)):
        accounts = land("tabular", {f"tabular/{name}": data}, **tabular_settings(events=name))
        assert accounts.rows_in == 24


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_cut_off_file_is_refused(land: Callable[..., Any], suffix: str) -> None:
    name = f"events.csv{suffix}"
    packed = PACKERS[suffix]((HEADER + "".join(ROWS) * 50).encode())
    files = {f"tabular/{name}": packed[:-20]}
    with pytest.raises(UserError, match=rf"{name} can't be decompressed"):
        land("tabular", files, **tabular_settings(events=name))


def test_a_zip_is_named(land: Callable[..., Any]) -> None:
    files = {"tabular/events.csv": b"PK\x03\x04 and so on"}
    with pytest.raises(UserError, match=r"events\.csv is a zip archive.*Unpack it"):
        land("tabular", files, **tabular_settings())


PARTS: Files = {
    "tabular/log/a.csv": (HEADER + "".join(ROWS[:8])).encode(),
    "tabular/log/day=2/a.csv.gz": gzip.compress(
        "".join(
            ",".join(row.rstrip("\n").split(",")[::-1]) + "\n" for row in [HEADER, *ROWS[8:16]]
        ).encode()
    ),
    "tabular/log/day=3/a.csv.zst": zstd((HEADER + "".join(ROWS[16:])).encode()),
    "tabular/log/day=3/b.csv": HEADER.encode(),
    "tabular/log/day=3/c.csv": b"",
    "tabular/log/_temporary/a.csv": b"unfinished",
    "tabular/log/.a.csv.swp.csv": b"unfinished",
    "tabular/log/d.csv.tmp": b"unfinished",
    "tabular/log/_SUCCESS": b"",
    "tabular/log/README.md": b"about this log",
}


def test_folders_and_patterns_of_text_are_one_log(ingest: Callable[..., Any]) -> None:
    whole = ingest(
        "tabular",
        {"tabular/all.csv": (HEADER + "".join(ROWS)).encode()},
        **tabular_settings(events="all.csv"),
    )
    for events in ("log", "log/**/*.csv*", "lo*"):
        tables = ingest("tabular", PARTS, **tabular_settings(events=events))
        assert tables.info.version == whole.info.version
        pd.testing.assert_frame_equal(tables.interactions, whole.interactions)
    assert tables.accounts.notes == {
        "files in lo* that are not read": 1,
        "empty files in lo*": 1,
    }


def test_a_bad_row_of_a_part_is_named_with_its_part(land: Callable[..., Any]) -> None:
    files = PARTS | {
        "tabular/log/day=3/b.csv": (HEADER + ROWS[0].replace(",0,q", ",9,q") + '1,"2\n').encode()
    }
    accounts = land("tabular", files, on_bad_rows="drop", **tabular_settings(events="log"))
    assert [(bad.file, bad.line) for bad in accounts.bad] == [
        ("day=3/b.csv", 2),
        ("day=3/b.csv", 3),
    ]
    assert (accounts.rows_in, accounts.rows_out) == (26, 24)


@pytest.mark.parametrize(
    ("part", "content", "message"),
    [
        (
            "day=3/b.csv",
            b"user_id,item_id,timestamp\n",
            r"day=3/b\.csv has no column 'label'.*\(day=3/b\.csv, line 1\)",
        ),
        ("day=3/b.csv", b"label,user_id,label\n", "day=3/b.csv has no column 'item_id'"),
        ("part.parquet", b"PAR1", r"holds text \(a\.csv\) and parquet \(part\.parquet\)"),
        ("day=3/b.csv.gz", b"\x1f\x8b", r"day=3/b\.csv\.gz can't be decompressed"),
    ],
)
def test_a_part_that_does_not_fit_is_named(
    land: Callable[..., Any], part: str, content: bytes, message: str
) -> None:
    files = PARTS | {f"tabular/log/{part}": content}
    with pytest.raises(UserError, match=message):
        land("tabular", files, **tabular_settings(events="log"))


@pytest.mark.parametrize("events", ["none-*.csv.gz", "none-*", "empty"])
def test_a_pattern_or_folder_without_files_is_refused(
    land: Callable[..., Any], events: str
) -> None:
    files = {"tabular/empty/_SUCCESS": b""}
    with pytest.raises(UserError, match="There is no file of text or parquet at"):
        land("tabular", files, **tabular_settings(events=events))


def test_features_and_answers_may_be_compressed_and_in_parts(ingest: Callable[..., Any]) -> None:
    files = {
        "tabular/events.csv": (HEADER + "".join(ROWS)).encode(),
        "tabular/items/a.csv": b"item_id,price\n0,1\n1,2\n",
        "tabular/items/b.csv.gz": gzip.compress(b"price,item_id\n3,2\ndear,3\n4,0\n"),
        "tabular/users.dat.zst": zstd(b"user_id,kind\n0,x\n"),
    }
    items = {"file": "items/*.csv*", "numbers": ["price"]}
    users = {"file": "users.dat.zst", "categories": ["kind"]}
    settings = tabular_settings(items=items, users=users)
    tables = ingest("tabular", files, on_bad_rows="drop", min_feature_match=0, **settings)
    (defect,) = tables.accounts.bad
    assert (defect.file, defect.line, defect.example) == ("b.csv.gz", 3, "dear")
    assert tables.accounts.repeated == 1
    price = tables.items.set_index("item_id").content_price
    assert price["2"] > price["1"] > price["0"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_text_of_any_encoding_is_read(land: Callable[..., Any], encoding: str, suffix: str) -> None:
    content = (HEADER + "".join(ROWS)).replace("user_id", "nutzer_für").encode(encoding)
    name = f"events.csv{suffix}"
    files = {f"tabular/{name}": gzip.compress(content) if suffix else content}
    columns = {"user": "nutzer_für", "label": "label"}
    settings = tabular_settings(events=name, encoding=encoding) | {}
    settings["tabular"]["columns"] = columns
    assert land("tabular", files, **settings).rows_out == 24


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "ascii"])
def test_text_that_is_not_in_its_encoding_is_named(land: Callable[..., Any], encoding: str) -> None:
    good = (HEADER + ROWS[0]).encode(encoding)
    bad = b"\x00\xd8\x00\x00" if encoding == "utf-16" else b"0,\xe9,1700000000,0,x\n"
    files = {"tabular/events.csv": good + bad}
    with pytest.raises(UserError, match=rf"not {encoding} text \(events.csv, line 3\)"):
        land("tabular", files, **tabular_settings(encoding=encoding))


# ---- headers


@pytest.mark.parametrize(
    "header",
    [
        '\n \nuser_id,item_id,timestamp,label,"query, as typed"\n',
        '"user_id","item_id","timestamp","label","query\nas typed"\n',
        "user_id , item_id,timestamp,label,query\r\n",
        '\ufeff"user_id",item_id,timestamp,label,query\n',
    ],
)
def test_headers_are_rows_like_any_other(land: Callable[..., Any], header: str) -> None:
    files = {"tabular/events.csv": (header + "".join(ROWS) + "x\n").encode()}
    accounts = land("tabular", files, on_bad_rows="drop", **tabular_settings())
    assert (accounts.rows_in, accounts.rows_out) == (25, 24)
    assert accounts.bad[0].line == header.count("\n") + 25


def test_a_column_that_is_there_twice_is_refused(land: Callable[..., Any]) -> None:
    files = {"tabular/events.csv": (HEADER.replace("query", "label") + "".join(ROWS)).encode()}
    with pytest.raises(UserError, match=r"more than one column 'label' \(events.csv, line 1\)"):
        land("tabular", files, **tabular_settings())


def test_lines_that_end_with_a_carriage_return_alone_are_refused(land: Callable[..., Any]) -> None:
    content = (HEADER + "".join(ROWS)).replace("\n", "\r").encode()
    with pytest.raises(UserError, match="end with a carriage return alone"):
        land("tabular", {"tabular/events.csv": content}, **tabular_settings())


def test_blank_lines_alone_are_refused(land: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r"events\.csv holds nothing but blank lines"):
        land("tabular", {"tabular/events.csv": b"\n \n"}, **tabular_settings())


# ---- nothing is left


@pytest.mark.parametrize(
    ("change", "settings", "messages"),
    [
        (
            lambda row: row.replace(",17000", ",9.7E"),
            {},
            [
                r"no usable event: of 24 rows 24 are bad",
                r"24 x timestamp is not a whole number \(events\.csv, line 2, column timestamp: '9",
            ],
        ),
        (
            lambda row: row.replace("q0", '"q0') if ",q0" in row else row.replace(",17", ",x"),
            {},
            ["20 x timestamp is not", "4 x quote is not closed", "tabular.quoting: false"],
        ),
        (lambda row: "", {}, ["no usable event: there is no row"]),
        (lambda row: row, {"date": "1999-01-01"}, ["no usable event on 1999-01-01"]),
        (
            lambda row: row + ROWS[0].replace("1700000000", "x"),
            {"slate_size": 7},
            [
                "No user has 7 events, so .* the 24 events that count are of 4 users, at most 6 of",
                "Of 48 rows 24 were dropped before: 24 x timestamp is not a whole number",
            ],
        ),
        (
            lambda row: row,
            {"slate_size": 5, "tabular": {**COLUMNS, "session_gap_minutes": 0.001}},
            ["No user has 5 events within one session, .* at most 1 within one session"],
        ),
        (
            lambda row: row,
            {
                "slate_size": 5,
                "tabular": {"columns": {"label": "label", "slate": "user_id"}},
            },
            ["no usable event", r"24 x slate does not have 5 events \(events\.csv, line 2"],
        ),
    ],
)
def test_a_log_of_which_nothing_is_left_says_why(
    ingest: Callable[..., Any],
    change: Callable[[str], str],
    settings: dict[str, Any],
    messages: list[str],
) -> None:
    files = {"tabular/events.csv": (HEADER + "".join(map(change, ROWS))).encode()}
    with pytest.raises(UserError) as refused:
        ingest("tabular", files, **{"on_bad_rows": "drop", **tabular_settings(), **settings})
    for message in messages:
        assert re.search(message, str(refused.value)), str(refused.value)
