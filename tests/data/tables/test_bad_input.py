"""The bad-input table: each defect is refused with its place, or dropped and counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from hsrl_pipeline.errors import UserError

U_DATA = "ml-100k/u.data"
U_ITEM = "ml-100k/u.item"
U_USER = "ml-100k/u.user"
RATINGS = "ml-latest-small/ratings.csv"
MOVIES = "ml-latest-small/movies.csv"
KUAIRAND_LOG = "KuaiRand-Pure/data/log_standard_4_22_to_5_08_pure.csv"
KUAIRAND_USERS = "KuaiRand-Pure/data/user_features_pure.csv"
RL4RS_LOG = "rl4rs/rl4rs_dataset_a_sl.csv"
RL4RS_ITEMS = "rl4rs/item_info.csv"
CUP_LOG = "rl4rs/bigdatacup2021_10k_impressions.csv"
EVENTS = "tabular/events.csv"
COAT_TRAIN = "coat/train.ascii"
COAT_TEST = "coat/test.ascii"
COAT_USERS = "coat/user_item_features/user_features.ascii"
COAT_ITEMS = "coat/user_item_features/item_features.ascii"
COAT_ITEM_NAMES = "coat/user_item_features/item_features_map.txt"
JESTER = "jester/jester-data-1.csv"
JOKES = "jester/jester-jokes.csv"

FIXTURES = {
    "ml100k": "ml100k",
    "ml_latest_small": "ml_latest_small",
    "kuairand_pure": "kuairand",
    "rl4rs": "rl4rs",
    "tabular": "tabular",
    "cup": "bigdatacup",
    "coat": "coat",
    "jester": "jester",
}
SMALL_JESTER = {"slate_size": 2, "jester": {"held_back_people": 2, "known_jokes": 2}}
SMALL_COAT = {"slate_size": 2}
Change = Callable[[bytes], bytes]


def append(*lines: str) -> Change:
    """Add lines at the end."""
    return lambda content: content + ("\n".join(lines) + "\n").encode()


def replace(old: str, new: str) -> Change:
    """Replace the first occurrence."""

    def change(content: bytes) -> bytes:
        assert old.encode() in content
        return content.replace(old.encode(), new.encode(), 1)

    return change


def change_line(number: int, change: Callable[[str], str]) -> Change:
    """Change one line, counted from 1."""

    def changed(content: bytes) -> bytes:
        lines = content.decode().split("\n")
        lines[number - 1] = change(lines[number - 1])
        return "\n".join(lines).encode()

    return changed


@dataclass(frozen=True)
class Dropped:
    """Rows that are refused by default and left out and counted on request."""

    source: str
    file: str
    change: Change
    reason: str
    line: int
    column: str | None
    count: int = 1
    parameters: dict[str, Any] = field(default_factory=dict)


SLATES = {"columns": {"label": "label", "slate": "list"}}
LISTS = "user_id,item_id,timestamp,label,list\n" + "".join(
    f"u,i{k},{shown},0,l{shown}\n" for shown in range(3) for k in range(2)
)
ITEMS = "1,2,3,40,41,42,148,149,150"
LABELS = "1,0,1,0,1,0,1,0,1"


def raw_line(session: str = "5", **fields: str) -> str:
    """Return a raw RL4RS line without portrait."""
    values = {"items": ITEMS, "labels": LABELS, "history": "0", "portrait": "", "time": "9"}
    values |= fields
    return "{time}@{session}@1@{items}@{labels}@{history}@{portrait}@0@1".format(
        session=session, **values
    )


DROPPED = {
    # unparsable lines and wrong separators in the middle of a file
    "too few fields": Dropped(
        "ml100k", U_DATA, append("1\t2\t3"), "wrong number of fields", 49, None
    ),
    "another separator in one line": Dropped(
        "ml_latest_small", RATINGS, append("1;2;3.0;4"), "wrong number of fields", 50, None
    ),
    "a broken '@' line": Dropped(
        "rl4rs", RL4RS_LOG, append("1@2@3"), "wrong number of fields", 7, None
    ),
    # duplicate rows
    "duplicate rating": Dropped(
        "ml100k", U_DATA, append("1\t1\t3\t880000101"), "duplicate row", 49, None
    ),
    "duplicate event": Dropped(
        "tabular", EVENTS, append("u0,i0,1700000000,0"), "duplicate row", 20, None
    ),
    # ratings
    "rating out of range": Dropped(
        "ml100k", U_DATA, append("1\t2\t6\t1"), "rating is outside 1 to 5", 49, "rating"
    ),
    "rating of 0 stars": Dropped(
        "ml_latest_small", RATINGS, append("1,2,0.0,1"), "rating is outside 0.5 to 5", 50, "rating"
    ),
    "rating between the stars": Dropped(
        "ml_latest_small",
        RATINGS,
        append("1,2,3.7,1"),
        "rating is not a number of half stars",
        50,
        "rating",
    ),
    "half a star where stars are whole": Dropped(
        "ml100k",
        U_DATA,
        append("1\t2\t3.5\t1"),
        "rating is not a whole number of stars",
        49,
        "rating",
    ),
    "rating in words": Dropped(
        "ml100k", U_DATA, append("1\t2\tgood\t1"), "rating is not a number", 49, "rating"
    ),
    "rating missing": Dropped(
        "ml_latest_small", RATINGS, append("1,2,,1"), "rating is missing", 50, "rating"
    ),
    # ids
    "negative id": Dropped(
        "ml100k", U_DATA, append("-1\t2\t3\t1"), "user_id is not a whole number >= 0", 49, "user_id"
    ),
    "huge id": Dropped(
        "kuairand_pure",
        KUAIRAND_LOG,
        replace("0,1,20220504", "0,99999999999999999999999,20220504"),
        "item_id is not a whole number >= 0",
        3,
        "video_id",
    ),
    "negative text id": Dropped(
        "tabular", EVENTS, append("u1,-5,1,0"), "item_id is negative", 20, "item_id"
    ),
    "missing id": Dropped(
        "tabular", EVENTS, append(",i1,1,0"), "user_id is missing", 20, "user_id"
    ),
    "endless id": Dropped(
        "tabular",
        EVENTS,
        append(f"{'u' * 300},i1,1,0"),
        "user_id is longer than 256 characters",
        20,
        "user_id",
    ),
    # times
    "time in words": Dropped(
        "tabular",
        EVENTS,
        append("u1,i1,noon,0"),
        "timestamp is not a whole number",
        20,
        "timestamp",
    ),
    "time that is no date": Dropped(
        "tabular",
        EVENTS,
        lambda _: (
            b"user_id,item_id,timestamp,label\n"
            + b"".join(b"u,i%d,2024-05-%02d,1\n" % (k, k) for k in range(10, 20))
            + b"u,i1,2024-02-30 10:00,1\n"
        ),
        "timestamp is not a date and time like 2024-05-31 18:30:00",
        12,
        "timestamp",
        parameters={"tabular": {"time_format": "datetime"}},
    ),
    "time before 1970": Dropped(
        "ml100k",
        U_DATA,
        append("1\t2\t3\t-5"),
        "timestamp is outside 0 to 4102444800",
        49,
        "timestamp",
    ),
    "milliseconds taken for seconds": Dropped(
        "tabular",
        EVENTS,
        append("u1,i1,1700000000000,0"),
        "timestamp is outside 0 to 4102444800",
        20,
        "timestamp",
    ),
    # labels
    "label of 2": Dropped(
        "tabular", EVENTS, append("u1,i1,1,2"), "label is not 0 or 1", 20, "label"
    ),
    "label missing": Dropped(
        "tabular", EVENTS, append("u1,i1,1,"), "label is not 0 or 1", 20, "label"
    ),
    "labels of a slate": Dropped(
        "rl4rs",
        RL4RS_LOG,
        append(raw_line(labels="1,0,1,0,2,0,1,0,1")),
        "user_feedback is not 9 labels of 0 or 1",
        7,
        "user_feedback",
        count=9,
    ),
    "labels of an impression": Dropped(
        "cup",
        CUP_LOG,
        replace('"1,1,1,0,0,0,0,1,0"', '"1,1,1,0,0,0,0,1,x"'),
        "user_feedback is not 9 labels of 0 or 1",
        2,
        "labels",
        count=9,
    ),
    # slates
    "eight items": Dropped(
        "rl4rs",
        RL4RS_LOG,
        append(raw_line(items="1,2,3,40,41,42,148,149")),
        "exposed_items is not 9 item ids",
        7,
        "exposed_items",
    ),
    "item of another shelf": Dropped(
        "rl4rs",
        RL4RS_LOG,
        append(raw_line(items="1,2,40,3,41,42,148,149,150")),
        "slate is infeasible: an item stands on another shelf",
        7,
        "exposed_items",
        count=9,
    ),
    "repeated item": Dropped(
        "rl4rs",
        RL4RS_LOG,
        append(raw_line(items="1,2,2,40,41,42,148,149,150")),
        "slate repeats an item",
        7,
        "exposed_items",
        count=9,
    ),
    "unlisted item": Dropped(
        "rl4rs",
        RL4RS_LOG,
        append(raw_line(items="1,2,3,40,41,42,148,149,284")),
        "item is not in the item file",
        7,
        "exposed_items",
        count=9,
    ),
    "infeasible impression": Dropped(
        "cup",
        CUP_LOG,
        replace("1,29,33,80,", "1,29,80,33,"),
        "slate is infeasible: an item stands on another shelf",
        2,
        "exposed_items_sorted_by_list_then_id",
        count=9,
    ),
    "list of another length": Dropped(
        "tabular",
        EVENTS,
        lambda _: (LISTS + "u,i0,9,1,l9\n").encode(),
        "slate does not have 2 events",
        8,
        "list",
        parameters={"tabular": SLATES, "slate_size": 2},
    ),
    "list that repeats an item": Dropped(
        "tabular",
        EVENTS,
        lambda _: (LISTS + "u,i0,8,1,l9\nu,i0,9,1,l9\n").encode(),
        "slate repeats an item",
        8,
        "item_id",
        count=2,
        parameters={"tabular": SLATES, "slate_size": 2},
    ),
    # RL4RS sessions
    "short portrait": Dropped(
        "rl4rs",
        RL4RS_LOG,
        append(raw_line(portrait="1,2,3")),
        "portrait is not 42 numbers",
        7,
        "user_protrait",
        count=9,
    ),
    "history in words": Dropped(
        "rl4rs",
        RL4RS_LOG,
        append(raw_line(history="1,two")),
        "click history is not a list of item ids",
        7,
        "user_seqfeature",
        count=9,
    ),
    "session without id": Dropped(
        "rl4rs",
        RL4RS_LOG,
        append(raw_line(session="")),
        "user_id is missing",
        7,
        "session_id",
        count=9,
    ),
    # feature files
    "movie line cut short": Dropped(
        "ml100k", U_ITEM, append("13|Half a movie"), "wrong number of fields", 13, None
    ),
    "genre flag of 2": Dropped(
        "ml100k",
        U_ITEM,
        replace("|0|0\n", "|0|2\n"),
        "Western is outside 0 to 1",
        1,
        "Western",
    ),
    "age in words": Dropped(
        "ml100k", U_USER, append("5|old|M|other|1"), "age is not a number", 5, "age"
    ),
    "negative age": Dropped(
        "ml100k", U_USER, append("5|-3|M|other|1"), "age is outside 0 to 130", 5, "age"
    ),
    "negative item id in the item file": Dropped(
        "ml_latest_small",
        MOVIES,
        append("-4,Title,Drama"),
        "item_id is not a whole number >= 0",
        14,
        "item_id",
    ),
    "followers in words": Dropped(
        "kuairand_pure",
        KUAIRAND_USERS,
        replace(",10,", ",many,"),
        "follow_user_num is not a number",
        3,
        "follow_user_num",
    ),
    "short item vector": Dropped(
        "rl4rs",
        RL4RS_ITEMS,
        append("284 1,2,3 7.0 3 0"),
        "item_vec is not 40 numbers",
        285,
        "item_vec",
    ),
    "shelf of 4": Dropped(
        "rl4rs",
        RL4RS_ITEMS,
        append("284 1,2,3 7.0 4 0"),
        "location is outside 1 to 3",
        285,
        "location",
    ),
    # matrices of people and items
    "coat rated with 6": Dropped(
        "coat",
        COAT_TRAIN,
        change_line(2, lambda line: "6" + line[1:]),
        "rating is outside 1 to 5",
        2,
        "1",
    ),
    "coat rated with half a star": Dropped(
        "coat",
        COAT_TEST,
        change_line(3, lambda line: line[:-1] + "2.5"),
        "rating is not a whole number",
        3,
        "10",
    ),
    "rating of a coat in words": Dropped(
        "coat",
        COAT_TRAIN,
        change_line(6, lambda line: "good" + line[1:]),
        "field is not a number",
        6,
        "1",
    ),
    "person with a coat too few": Dropped(
        "coat",
        COAT_TRAIN,
        change_line(4, lambda line: line[2:]),
        "row does not have 10 numbers",
        4,
        None,
    ),
    "blank line between people": Dropped(
        "coat",
        COAT_TEST,
        change_line(4, lambda _: ""),
        "row does not have 10 numbers",
        4,
        None,
    ),
    "flag of a coat": Dropped(
        "coat",
        COAT_ITEMS,
        change_line(5, lambda line: "2" + line[1:]),
        "flag is outside 0 to 1",
        5,
        "1",
    ),
    "person of two genders": Dropped(
        "coat",
        COAT_USERS,
        change_line(5, lambda _: "1 1 0 0"),
        "more than one gender is marked",
        5,
        "1",
    ),
    "joke rated with 11": Dropped(
        "jester",
        JESTER,
        change_line(3, lambda line: line.rsplit(",", 1)[0] + ",11"),
        "rating is outside -10 to 10",
        3,
        "7",
    ),
    "person with a joke too many": Dropped(
        "jester",
        JESTER,
        change_line(2, lambda line: line + ",1"),
        "row does not have 7 numbers",
        2,
        None,
    ),
    "rating of a joke that is not finite": Dropped(
        "jester",
        JESTER,
        change_line(2, lambda line: line.rsplit(",", 1)[0] + ",nan"),
        "field is not a number",
        2,
        "7",
    ),
    "wrong count of rated jokes": Dropped(
        "jester",
        JESTER,
        change_line(8, lambda line: "6" + line[1:]),
        "first column is not the number of jokes rated",
        8,
        "1",
    ),
    "text of an unknown joke": Dropped(
        "jester",
        JOKES,
        append("7,Another joke"),
        "joke_id is not a whole number from 1 to 6",
        9,
        "joke_id",
    ),
    "second text of a joke": Dropped(
        "jester",
        JOKES,
        append("2,Another joke"),
        "joke_id is repeated",
        9,
        "joke_id",
    ),
    "joke without text": Dropped(
        "jester",
        JOKES,
        replace("Joke 3 about chickens and road 3", ""),
        "text is missing",
        5,
        "text",
    ),
    "text with a comma outside quotes": Dropped(
        "jester",
        JOKES,
        replace("Joke 4 about", "Joke 4, about"),
        "wrong number of fields",
        6,
        None,
    ),
}


def case_files(request: pytest.FixtureRequest, source: str) -> dict[str, bytes]:
    """Return the good files of a source."""
    return dict(request.getfixturevalue(FIXTURES[source]))


def complete(source: str, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of the reader and the parameters with the mapping of labels."""
    if source == "tabular":
        mapping = {"columns": {"label": "label"}} | parameters.get("tabular", {})
        parameters = parameters | {"tabular": mapping}
    small = {"coat": SMALL_COAT, "jester": SMALL_JESTER}.get(source, {})
    return "rl4rs" if source == "cup" else source, small | parameters


@pytest.mark.parametrize("case", DROPPED.values(), ids=DROPPED)
def test_bad_rows_are_refused_or_dropped_and_counted(request, land, case):
    files = case_files(request, case.source)
    files[case.file] = case.change(files[case.file])
    source, parameters = complete(case.source, case.parameters)
    accounts = land(source, files, on_bad_rows="drop", **parameters)
    (defect,) = accounts.bad
    assert (defect.reason, defect.count) == (case.reason, case.count)
    assert (defect.line, defect.column) == (case.line, case.column)
    with pytest.raises(UserError) as refused:  # as a run with on_bad_rows "error" settles them
        accounts.settle("error")
    place = [case.file.split("/")[-1], f"line {case.line}"]
    place += [f"column {case.column}"] if case.column else []
    assert refused.value.where == ", ".join(place)
    assert refused.value.what.startswith(case.reason)
    if case.file in (U_DATA, RATINGS, KUAIRAND_LOG, RL4RS_LOG, CUP_LOG, EVENTS):
        assert accounts.rows_in - accounts.rows_out == case.count


@pytest.mark.parametrize("name", ["rating out of range", "item of another shelf", "short portrait"])
def test_bad_rows_are_refused_by_default(request, land, name):
    case = DROPPED[name]
    files = case_files(request, case.source)
    files[case.file] = case.change(files[case.file])
    source, parameters = complete(case.source, case.parameters)
    with pytest.raises(UserError, match=f"{case.reason}.*line {case.line}.*ingestion.on_bad_rows"):
        land(source, files, **parameters)


REFUSED = {
    "wrong separator": (
        "ml_latest_small",
        RATINGS,
        lambda content: content.replace(b",", b";"),
        r"ratings.csv has no column 'userId'.*separator ','.*line 1",
    ),
    "all lines of another separator": (
        "ml100k",
        U_DATA,
        lambda content: content.replace(b"\t", b" "),
        r"wrong number of fields.*u.data, line 1",
    ),
    "empty log": ("ml100k", U_DATA, lambda _: b"", "u.data is empty"),
    "empty feature file": ("ml100k", U_ITEM, lambda _: b"", "u.item is empty"),
    "header alone": (
        "tabular",
        EVENTS,
        lambda _: b"user_id,item_id,timestamp,label\n",
        "no usable event",
    ),
    "another encoding": (
        "tabular",
        EVENTS,
        lambda content: content + "zoë,i1,1,1\n".encode("latin-1"),
        r"events.csv is not utf-8 text \(events.csv, line 20\)",
    ),
    "another encoding of features": (
        "ml_latest_small",
        MOVIES,
        lambda content: content + "13,Amélie (2001),Comedy\n".encode("latin-1"),
        r"movies.csv is not utf-8 text \(movies.csv, line 14\)",
    ),
    "header of another version": (
        "kuairand_pure",
        KUAIRAND_LOG,
        replace("is_click", "clicked"),
        "no column 'is_click'",
    ),
    "item file without items": (
        "rl4rs",
        RL4RS_ITEMS,
        lambda content: content.split(b"\n")[0] + b"\nx y z 1 2\n",
        r"item_info.csv holds no good row",
    ),
    "coats of another width": (
        "coat",
        COAT_TRAIN,
        lambda content: content.replace(b" ", b","),
        r"row does not have 10 numbers.*train.ascii, line 1",
    ),
    "empty file of coats": ("coat", COAT_TRAIN, lambda _: b"", "train.ascii is empty.*data/01_raw"),
    "a person missing": (
        "coat",
        COAT_TEST,
        lambda content: content[: content.rstrip().rindex(b"\n") + 1],
        r"test.ascii has 5 people, user_features.ascii has 6 \(test.ascii, line 6\)",
    ),
    "feature without a value": (
        "coat",
        COAT_ITEM_NAMES,
        replace("onfrontpage:yes", "onfrontpage"),
        r"not of the form group:value: 'onfrontpage' \(item_features_map.txt, line 3\)",
    ),
    "jokes with other columns": (
        "jester",
        JOKES,
        replace("joke_id,text", "id,joke"),
        r"columns id, joke, expected joke_id, text \(jester-jokes.csv, line 1\)",
    ),
    "no joke holds a word": (
        "jester",
        JOKES,
        lambda _: b"joke_id,text\n1,?\n2,!\n",
        "The texts of jester-jokes.csv hold no word",
    ),
    "jokes in another encoding": (
        "jester",
        JOKES,
        lambda content: content + "5,Amélie\n".encode("latin-1"),
        r"jester-jokes.csv is not utf-8 text \(jester-jokes.csv, line 9\)",
    ),
    "nobody rated every joke": (
        "jester",
        JESTER,
        lambda content: b"".join(
            b"5," + line.split(b",", 1)[1].rsplit(b",", 1)[0] + b",99\n"
            for line in content.splitlines()
        ),
        r"2 people shall be held back, but of 8 people 0 rated all of 6 jokes.*held_back_people",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("on_bad_rows", ["error", "drop"])
def test_files_that_cannot_be_used_are_refused_either_way(request, land, case, on_bad_rows):
    source, file, change, message = case
    files = case_files(request, source)
    files[file] = change(files[file])
    source, parameters = complete(source, {"on_bad_rows": on_bad_rows})
    if on_bad_rows == "drop" and "wrong number" in message:
        message = "no usable event"
    with pytest.raises(UserError, match=message):
        land(source, files, **parameters)


def test_equal_timestamps_keep_the_order_of_the_file(ingest, tabular):
    rows = [f"u,i{k},5,{k % 2}" for k in (3, 1, 2, 0)]
    tabular[EVENTS] = ("user_id,item_id,timestamp,label\n" + "\n".join(rows) + "\n").encode()
    _, parameters = complete("tabular", {})
    tables = ingest("tabular", tabular, slate_size=2, train_share=0.5, **parameters)
    ids = tables.items.set_index("item_index").item_id
    assert ids[tables.interactions.item_index].tolist() == ["i3", "i1", "i2", "i0"]


def test_items_and_users_without_features_are_kept(ingest, ml100k):
    ml100k[U_ITEM] = b"\n".join(ml100k[U_ITEM].split(b"\n")[:6]) + b"\n"
    ml100k[U_USER] = b"\n".join(ml100k[U_USER].split(b"\n")[:2]) + b"\n"
    tables = ingest("ml100k", ml100k, slate_size=5)
    assert (len(tables.items), len(tables.users)) == (12, 4)
    lacking = tables.items.set_index("item_id").loc["12"]
    assert (lacking.filter(like="content_") == 0).all()
    assert (tables.users.set_index("user_id").loc["4"].filter(like="category_") == 0).all()


def test_users_with_fewer_than_k_events_keep_their_history(ingest, tabular):
    tabular[EVENTS] += b"late,i0,1700009999,1\nlate,i1,1700009998,1\n"
    _, parameters = complete("tabular", {})
    tables = ingest("tabular", tabular, slate_size=3, **parameters)
    user = tables.users.set_index("user_id").loc["late", "user_index"]
    mine = tables.interactions[tables.interactions.user_index == user]
    assert mine.slate_index.tolist() == [-1, -1]
    assert user not in set(tables.slates.user_index)


def test_nobody_with_k_events_is_refused(ingest, tabular):
    _, parameters = complete("tabular", {})
    with pytest.raises(UserError, match="No user has 7 events"):
        ingest("tabular", tabular, slate_size=7, **parameters)
