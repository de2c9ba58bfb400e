"""Jester as it is downloaded: a log of some people, and the complete answers of the others."""

from dataclasses import replace

import numpy as np
import pytest

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.data.sources.jester import read_jester, read_recorded_answers, text_vectors
from hsrl_pipeline.data.sources.source_log import ReadRequest
from hsrl_pipeline.errors import UserError

SMALL = {
    "slate_size": 2,
    "positive_above": 0.0,
    "jester": {"held_back_people": 3, "known_jokes": 2},
}


def rating(person, joke):
    """Return what the fixture's person says to a joke."""
    return (7 * person + 5 * joke) % 21 - 10


@pytest.fixture
def request_for(tmp_path, jester):
    """Return a request for the fixture's files."""

    def make(**parameters):
        for name, content in jester.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
        config = IngestionConfig(source="jester", **(SMALL | parameters))
        return ReadRequest(raw_folder=tmp_path, workspace=tmp_path, config=config, seed=0)

    return make


def test_training_people_answer_everything_and_the_held_back_what_is_known(ingest, jester):
    tables = ingest("jester", jester, **SMALL)
    split = tables.slates.set_index("slate_index")["split"]
    per_user = tables.slates.groupby("user_index")["split"].agg(["unique", "size"])
    splits = per_user["unique"].map("".join)
    trained, held_back = per_user[splits == "train"], per_user[splits == "test"]
    assert len(held_back) == 3
    assert held_back["size"].tolist() == [1, 1, 1]
    assert len(trained) == 5
    # person 8 rated 5 of 6 jokes, so that one event is left over
    assert sorted(trained["size"]) == [2, 3, 3, 3, 3]
    assert (split == "test").sum() == 3


def test_answers_keep_their_person_and_joke(ingest, jester):
    tables = ingest("jester", jester, **SMALL)
    items = tables.items.set_index("item_index")["item_id"].astype(int)
    users = tables.users.set_index("user_index")["user_id"].astype(int)
    events = tables.interactions
    expected = [
        rating(users[u], items[i])
        for u, i in zip(events["user_index"], events["item_index"], strict=True)
    ]
    assert events["value"].tolist() == expected
    assert events["label"].tolist() == [int(value > 0) for value in expected]


def test_the_held_back_rated_everything_and_are_in_no_training_slate(ingest, jester, request_for):
    tables = ingest("jester", jester, **SMALL)
    answers, _ = read_recorded_answers(request_for())
    people = answers["user_id"].unique()
    assert len(answers) == 3 * 6
    assert "8" not in people
    users = tables.users.set_index("user_index")["user_id"]
    tested = tables.slates.loc[tables.slates["split"] == "test", "user_index"].map(users)
    assert sorted(people) == sorted(tested)
    assert answers["label"].tolist() == [
        int(rating(int(row.user_id), int(row.item_id)) > 0) for row in answers.itertuples()
    ]


def test_people_and_order_follow_the_seed(request_for):
    first = read_recorded_answers(request_for())[0]["user_id"].unique().tolist()
    assert read_recorded_answers(request_for())[0]["user_id"].unique().tolist() == first
    others = [
        read_recorded_answers(replace(request_for(), seed=seed))[0]["user_id"].unique().tolist()
        for seed in range(1, 6)
    ]
    assert any(other != first for other in others)


def test_a_text_may_hold_line_breaks_and_titles_are_its_start(request_for):
    items = read_jester(request_for()).items.set_index("item_id")
    assert items.loc["1", "title"] == "Knock, knock. Who is there?"
    assert items.loc["2", "title"] == ('A "doctor" walks into a bar and orders a drink for ...')
    assert len(items) == 6


def test_alike_texts_have_alike_vectors_and_the_same_texts_the_same():
    texts = ["red apple pie", "red apple cake", "fast train north", "slow train north"]
    vectors = text_vectors(texts, 3, "jokes.csv")
    assert vectors.shape == (4, 3)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > 0.5 > unit[0] @ unit[2]
    assert text_vectors(texts, 3, "jokes.csv").tobytes() == vectors.tobytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"held_back_people": 8}, "8 people shall be held back.*7 rated all of 6 jokes"),
        ({"held_back_people": 3, "known_jokes": 6}, "6 jokes shall be known"),
    ],
)
def test_too_many_held_back_or_known_are_refused(request_for, settings, message):
    with pytest.raises(UserError, match=message):
        read_jester(request_for(jester=settings))


@pytest.mark.parametrize("missing", ["jester-data-1.csv", "jester-jokes.csv"])
def test_a_missing_file_is_named_with_the_place_where_it_belongs(land, jester, missing):
    del jester[f"jester/{missing}"]
    with pytest.raises(UserError, match=rf"there is no {missing}.*data/01_raw/jester/"):
        land("jester", jester, **SMALL)
