"""Coat as it is downloaded: what was chosen, what was drawn, and how likely either was."""

import numpy as np
import pytest

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.data.sources.coat import read_propensities
from hsrl_pipeline.data.sources.source_log import ReadRequest
from hsrl_pipeline.errors import UserError

SMALL = {"slate_size": 2}


@pytest.fixture
def tables(ingest, coat):
    return ingest("coat", coat, **SMALL)


def by_id(tables):
    """Return the events with the ids of the files."""
    items = tables.items.set_index("item_index")["item_id"].astype(int)
    users = tables.users.set_index("user_index")["user_id"].astype(int)
    return tables.interactions.assign(
        item=tables.interactions["item_index"].map(items),
        user=tables.interactions["user_index"].map(users),
    )


def test_every_rating_is_an_event_and_those_above_3_are_positive(tables):
    events = by_id(tables)
    assert len(events) == 6 * 6
    expected = 1 + (events["user"] + events["item"]) % 5
    assert events["value"].tolist() == expected.tolist()
    assert events["label"].tolist() == (expected > 3).astype(int).tolist()
    assert tables.info.slate_size == 2


def test_chosen_ratings_train_and_drawn_ratings_test(tables):
    events = by_id(tables)
    chosen = (events["item"] - events["user"]) % 10 < 4
    day = events["timestamp"] // 86_400
    assert day.tolist() == (~chosen).astype(int).tolist()
    split = tables.slates.set_index("slate_index")["split"]
    assert (events["slate_index"].map(split) == "train").tolist() == chosen.tolist()
    assert (tables.info.n_train_slates, tables.info.n_test_slates) == (12, 6)


def test_each_drawn_coat_is_one_of_all_and_of_chosen_ones_it_is_not_known(tables):
    drawn = tables.slates["split"] == "test"
    chances = tables.slates[["propensity_0", "propensity_1"]]
    np.testing.assert_array_equal(chances[drawn], np.float32(1 / 10))
    assert chances[~drawn].isna().all(axis=None)


def test_no_slate_mixes_what_was_chosen_and_what_was_drawn(ingest, coat):
    lines = coat["coat/train.ascii"].split(b"\n")
    lines[0] = b"0 " + lines[0][2:]  # the first person chose 3 coats, which do not divide by 2
    coat["coat/train.ascii"] = b"\n".join(lines)
    events = by_id(ingest("coat", coat, **SMALL))
    whole = events[events["slate_index"] >= 0]
    drawn = (whole["item"] - whole["user"]) % 10 >= 4
    assert len(whole) == len(events) - 1
    assert drawn.groupby(whole["slate_index"]).nunique().eq(1).all()


def test_the_order_within_a_person_follows_the_seed(ingest, coat):
    first, again = (by_id(ingest("coat", coat, **SMALL)) for _ in range(2))
    assert first["item"].tolist() == again["item"].tolist()
    orders = first.groupby("user")["item"].agg(list)
    assert any(order != sorted(order) for order in orders)


def test_flags_become_categories_of_people_and_content_of_coats(tables):
    users = tables.users.set_index("user_id")
    names = tables.category_values
    assert {names["gender"][code - 1] for code in users["category_gender"]} == {"men", "women"}
    assert names["gender"][users.loc["1", "category_gender"] - 1] == "men"
    assert names["age"][users.loc["2", "category_age"] - 1] == "over 60"
    assert users.loc["3", "category_age"] == 0  # neither flag is set
    items = tables.items.set_index("item_id")
    assert items["content_jackettype_bomber"].to_dict() == {
        str(c): float(c % 2) for c in range(1, 11)
    }
    assert items.loc["2", "title"] == "rain"


def request_for(folder, files, **parameters):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    config = IngestionConfig(source="coat", **parameters)
    return ReadRequest(raw_folder=folder, workspace=folder, config=config, seed=0)


def test_propensities_keep_their_pairs(tmp_path, coat):
    pairs, accounts = read_propensities(request_for(tmp_path, coat))
    assert (accounts.rows_in, accounts.rows_out) == (6, 6)
    pairs = pairs.set_index(["user_id", "item_id"])
    assert len(pairs) == 60
    assert pairs.loc[("2", "10"), "propensity"] == pytest.approx(0.12)
    assert pairs["propensity"].dtype == np.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.replace(b"0.07", b"0"), "propensity is outside 1e-06 to 1"),
        (lambda content: content.replace(b"0.07 ", b"", 1), "row does not have 10 numbers"),
        (lambda content: content[content.index(b"\n") + 1 :], "has 5 people"),
    ],
)
def test_bad_propensities_are_refused(tmp_path, coat, change, message):
    coat["coat/propensities.ascii"] = change(coat["coat/propensities.ascii"])
    with pytest.raises(UserError, match=f"{message}.*propensities.ascii, line"):
        read_propensities(request_for(tmp_path, coat))


@pytest.mark.parametrize("missing", ["train.ascii", "test.ascii", "user_item_features"])
def test_a_missing_file_is_named_with_the_place_where_it_belongs(land, coat, missing):
    files = {name: content for name, content in coat.items() if missing not in name}
    with pytest.raises(UserError, match=rf"there is no .*{missing}.*data/01_raw/coat/"):
        land("coat", files)
