"""MovieLens-1M against a plain implementation of docs/protocol.md#movielens, rating by rating."""

import zipfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.data.sources.movielens import content_features, parse_movies, parse_users
from hsrl_pipeline.errors import UserError

Files = dict[str, bytes]
SIZE = 5


def by_the_protocol(ratings: bytes) -> dict[str, Any]:
    """Sort each user's ratings by time, cut into slates, split by the time of the last rating."""
    users = defaultdict(list)
    for place, line in enumerate(ratings.decode().splitlines()):
        user, item, rating, time = line.split("::")
        users[int(user)].append((int(time), place, item, int(int(rating) > 3)))
    slates = []
    for user, events in users.items():
        events.sort()
        for start in range(0, len(events) - SIZE + 1, SIZE):
            cut = events[start : start + SIZE]
            history = [item for _, _, item, label in events[:start] if label]
            slates.append((cut[-1][0], user, start, cut, history))
    slates.sort(key=lambda slate: slate[:3])
    return {"slates": slates, "n_train": int(0.8 * len(slates))}


def test_slates_histories_and_split_are_those_of_the_protocol(
    ingest: Callable[..., Any], ml1m: Files
) -> None:
    expected = by_the_protocol(ml1m["ml-1m/ratings.dat"])
    got = ingest("ml1m", ml1m, slate_size=SIZE)
    item_ids = got.items.set_index("item_index")["item_id"]
    user_ids = got.users.set_index("user_index")["user_id"]
    timeline = got.timeline["item_index"].to_numpy()
    assert len(got.slates) == len(expected["slates"])
    assert (got.slates["split"] == "train").sum() == expected["n_train"]
    assert got.slates["split"].iloc[: expected["n_train"]].eq("train").all()
    for row, (time, user, _, cut, history) in zip(
        got.slates.to_dict("records"), expected["slates"], strict=True
    ):
        assert (row["timestamp"], user_ids[row["user_index"]]) == (time, str(user))
        assert [item_ids[row[f"item_{k}"]] for k in range(SIZE)] == [item for _, _, item, _ in cut]
        assert [row[f"label_{k}"] for k in range(SIZE)] == [label for *_, label in cut]
        window = timeline[row["history_start"] : row["history_end"]]
        assert [item_ids[item] for item in window] == history


def test_interactions_hold_every_rating_by_user_and_time(
    ingest: Callable[..., Any], ml1m: Files
) -> None:
    got = ingest("ml1m", ml1m, slate_size=SIZE)
    lines = ml1m["ml-1m/ratings.dat"].decode().splitlines()
    assert len(got.interactions) == len(lines)
    assert got.interactions["label"].sum() == sum(int(line.split("::")[2]) > 3 for line in lines)
    ordered = got.interactions.sort_values(["user_index", "timestamp"], kind="stable")
    pd.testing.assert_frame_equal(ordered, got.interactions)
    inside = got.interactions[got.interactions["slate_index"] >= 0]
    assert inside.groupby("slate_index")["position"].apply(list).map(tuple).unique().tolist() == [
        tuple(range(SIZE))
    ]


def test_demographics_and_content_are_features(ingest: Callable[..., Any], ml1m: Files) -> None:
    got = ingest("ml1m", ml1m, slate_size=SIZE)
    assert [field.name for field in got.info.category_fields] == [
        "gender",
        "age",
        "occupation",
        "zip_area",
    ]
    values = got.category_values
    first = got.users.set_index("user_id").loc["1"]
    assert values["gender"][first["category_gender"] - 1] == "F"
    assert values["zip_area"][first["category_zip_area"] - 1] == "4"
    movie = got.items.set_index("item_id").loc["2"]
    assert movie["title"] == "Les Misérables (1995)"
    assert movie["content_decade_1990"] == 1.0
    assert movie["content_genre_children_s"] == 1.0
    assert got.items["content_genre_drama"].dtype == np.float32


def test_zip_and_folder_give_the_same_tables(
    ingest: Callable[..., Any], ml1m: Files, tmp_path: Path
) -> None:
    from_folder = ingest("ml1m", ml1m, slate_size=SIZE)
    archive = tmp_path / "official.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in ml1m.items():
            file.writestr(name, content)
    for name in ml1m:
        (tmp_path / "raw" / name).unlink()
    (tmp_path / "raw" / "ml-1m").rmdir()
    from_zip = ingest("ml1m", {"ml-1m.zip": archive.read_bytes()}, slate_size=SIZE)
    assert from_zip.info == from_folder.info
    pd.testing.assert_frame_equal(from_zip.slates, from_folder.slates)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            None,
            r"raw data of ml1m is missing.*make data DATASET=ml1m.*place the official ml-1m.zip",
        ),
        (b"no zip at all", r"ml-1m.zip is damaged.*Delete it"),
        ("empty", r"ml-1m.zip holds no ml-1m/ratings.dat"),
    ],
)
def test_a_missing_or_damaged_zip_is_one_clear_message(
    land: Callable[..., Any], tmp_path: Path, content: bytes | str | None, message: str
) -> None:
    files = {}
    if content == "empty":
        path = tmp_path / "empty.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("ml-1m/README", "nothing else")
        files = {"ml-1m.zip": path.read_bytes()}
    elif isinstance(content, bytes):
        files = {"ml-1m.zip": content}
    with pytest.raises(UserError, match=message):
        land("ml1m", files)


def test_malformed_and_repeated_lines_of_feature_files_are_accounted() -> None:
    frame, accounts = parse_movies("1::A (1990)::Drama\nx::B\n1::Again (1991)::Drama\n")
    assert frame["title"].tolist() == ["A (1990)"]
    assert [(bad.line, bad.file) for bad in accounts.bad] == [(2, "movies.dat")]
    assert accounts.notes == {"repeated item_id in feature file": 1}
    assert (accounts.rows_in, accounts.rows_out, accounts.repeated) == (3, 1, 1)
    people, accounts = parse_users("1::F::1::10::48067\n2::M::56::16::\n")
    assert people["category_zip_area"].isna().tolist() == [False, True]
    assert accounts.bad == ()
    with pytest.raises(UserError, match=r"users\.dat is empty"):
        parse_users("\n \n")


def test_titles_without_year_have_no_decade() -> None:
    content = content_features(["A (1994)", "B"], [["Comedy", ""], ["(no genres listed)"]])
    assert content.columns.tolist() == ["content_decade_1990", "content_genre_comedy"]
    assert content.to_numpy().tolist() == [[1.0, 1.0], [0.0, 0.0]]
