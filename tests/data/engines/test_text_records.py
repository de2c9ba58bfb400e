"""Records of delimited text: what a quote may and may not do to the lines around it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.data.accounts import MALFORMED, TEXT_BEHIND_QUOTE, UNCLOSED_QUOTE
from hsrl_pipeline.data.engines import text_records
from hsrl_pipeline.data.engines.record_walk import RecordForm
from hsrl_pipeline.data.engines.text_records import LONE_RETURN, iterate_records

Bad = list[tuple[int, str]]
THREE = RecordForm(3, b",")


def cut(
    text: bytes, form: RecordForm = THREE, block: int | None = None
) -> tuple[bytes, list[int], Bad]:
    """Return the good text, the lines of its records and the bad lines."""

    def blocks() -> Iterator[bytes]:
        places = [*range(0, len(text), block or len(text)), len(text)] if text else []
        for start, end in pairwise(places):
            yield text[start:end]

    pieces = list(iterate_records(blocks(), form, 1))
    lines = [line for piece in pieces for line in piece.lines.tolist()]
    bad = [(line.line, line.reason) for piece in pieces for line in piece.bad]
    return b"".join(piece.text for piece in pieces), lines, bad


@pytest.mark.parametrize("block", [1, 2, 3, 5, 8, 1000])
@pytest.mark.parametrize(
    ("text", "good", "lines", "bad"),
    [
        ("1,2,3\n4,5,6\n", "1,2,3\n4,5,6\n", [1, 2], []),
        ("1,2,3\r\n\r\n \t\n4,5,6", "1,2,3\r\n4,5,6\n", [1, 4], []),
        ('1,"a\nb ""c"", d",3\n4,5,6\n', '1,"a\nb ""c"", d",3\n4,5,6\n', [1, 3], []),
        ('1,"",""""\n', '1,"",""""\n', [1], []),
        ('a,15" tv,c\n', 'a,15" tv,c\n', [1], []),  # an inch mark is an ordinary character
        ('a,15",c\nb,"",d\n', 'a,15",c\nb,"",d\n', [1, 2], []),
        ('1,2,"x\n4,5,6\n7,8,9\n', "4,5,6\n7,8,9\n", [2, 3], [(1, UNCLOSED_QUOTE)]),
        ('1,"x\n4,"y",6\n', '4,"y",6\n', [2], [(1, UNCLOSED_QUOTE)]),
        ('1,"x"y,3\n4,5,6\n', "4,5,6\n", [2], [(1, TEXT_BEHIND_QUOTE)]),
        ('1,"x" ,3\n4,5,6\n', "4,5,6\n", [2], [(1, TEXT_BEHIND_QUOTE)]),
        ('1,2,3\n4,5,"6', "1,2,3\n", [1], [(2, UNCLOSED_QUOTE)]),
        ('1,"x\ny"\n4,5,6\n', 'y"\n4,5,6\n', [2, 3], [(1, MALFORMED)]),
        ("1,2\rx,3\n4,5,6\r\r\n", "4,5,6\n", [2], [(1, LONE_RETURN)]),
        ('1,"a\rb",3\r\n4,5,6\n', '1,"a\rb",3\r\n4,5,6\n', [1, 2], []),
        ('1,2,"x"\r\r\n4,5,6\n', '1,2,"x"\n4,5,6\n', [1, 2], []),
        # two stray quotes that would close one another over rows of their own
        ('1,2,"x\n4,5,6\n7,8,y"\n', '4,5,6\n7,8,y"\n', [2, 3], [(1, UNCLOSED_QUOTE)]),
        # no row begins with a word where the others have a number
        ('1,2,"x\nred, green, blue"\n', '1,2,"x\nred, green, blue"\n', [1], []),
    ],
)
def test_what_is_a_record(text: str, good: str, lines: list[int], bad: Bad, block: int) -> None:
    assert cut(text.encode(), block=block) == (good.encode(), lines, bad)


def test_without_quoting_a_quote_is_an_ordinary_character() -> None:
    text = b'1,2,"x\n4,"5,6\n'
    assert cut(text, RecordForm(3, b",", quoted=False)) == (text, [1, 2], [])


def test_rows_of_words_alone_need_many_lines_to_tell() -> None:
    rows = [f"user{chr(97 + k)},item{chr(97 + k)},word" for k in range(8)]
    rows[0] = 'usera,itema,"word'
    rows[7] = 'userh,itemh,word"'
    assert cut("\n".join(rows).encode())[2] == [(1, UNCLOSED_QUOTE)]
    assert cut("\n".join(rows[:1] + rows[-1:]).encode())[1:] == ([1], [])


def test_an_endless_record_is_an_open_quote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_records, "LONGEST_RECORD", 100)
    text = b'1,2,"x\n' + b"words that are no row\n" * 20 + b"4,5,6\n"
    _, lines, bad = cut(text, block=50)
    assert bad == [(1, UNCLOSED_QUOTE)]
    assert lines == list(range(2, 23))


def test_an_open_quote_is_told_after_a_few_rows() -> None:
    text = b'1,2,"x\n' + b"4,5,6\n" * 1000
    pieces = list(iterate_records(iter([text[:300], text[300:]]), THREE, 1))
    assert pieces[0].n_lines == 49  # not kept back until the end of the file


def test_many_stray_quotes_cost_time_in_line_with_their_number() -> None:
    # each line on which a quote opens is read once, not once for every line behind it
    text = b'1,2,"x\n4,5,6\n' * 20_000
    good, lines, bad = cut(text)
    assert (len(lines), len(bad)) == (20_000, 20_000)
    assert good == b"4,5,6\n" * 20_000
    np.testing.assert_array_equal(lines, np.arange(2, 40_001, 2))


fields = st.text(alphabet='ab,"\n é', max_size=4)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(2, 3).flatmap(
        lambda width: st.lists(st.lists(fields, min_size=width, max_size=width), min_size=1)
    ),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.integers(1, 40),
)
def test_well_formed_text_is_cut_as_the_standard_library_cuts_it(
    rows: list[list[str]], line_end: str, quoting: int, block: int
) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator=line_end, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    text = written.getvalue()
    good, lines, bad = cut(text.encode(), RecordForm(len(rows[0]), b","), block)
    assert bad == []
    assert good.decode() == text
    # csv tells the line on which each row ends
    reader = csv.reader(io.StringIO(text, newline=""))
    ends = [reader.line_num for _ in reader]
    assert lines == [1, *(end + 1 for end in ends[:-1])]


@settings(max_examples=400, deadline=None)
@given(
    st.text(alphabet='1a,"\n\r ', max_size=60),
    st.integers(1, 3),
    st.booleans(),
    st.integers(1, 20),
)
def test_every_line_of_any_text_is_kept_or_named(
    text: str, width: int, quoted: bool, block: int
) -> None:
    form = RecordForm(width, b",", quoted)
    good, lines, bad = cut(text.encode(), form)

    def count(content: str) -> int:
        return sum(bool(line.strip(" \r")) for line in content.split("\n"))

    assert count(text) == count(good.decode()) + len(bad)
    assert len(set(lines) | {line for line, _ in bad}) == len(lines) + len(bad)
    assert cut(text.encode(), form, block) == (good, lines, bad)
    if not quoted:
        assert count(good.decode()) == len(lines)
