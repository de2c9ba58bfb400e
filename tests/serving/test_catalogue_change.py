"""Items that the model has never had, and every way in which a change can be wrong."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.agents.test_conformance import N_ITEMS

from hsrl_pipeline.checkpoint import read_checkpoint, write_checkpoint
from hsrl_pipeline.config.agent import AGENT_NAMES
from hsrl_pipeline.serving import Recommender, RecommendRequest, RequestError, ServedModel
from hsrl_pipeline.serving.catalogue_change import AskedChange, VersionConflict, follow
from hsrl_pipeline.serving.item_features import NewItem

from .small_model import IDS, new_item, small_model, small_publisher

LIVE = [1, 2, 3, 5, 7, 9, 11, 12]
NEW = "film 13"


def make_recommender(name: str = "hsrl", **options: Any) -> Recommender:
    return Recommender(small_model(name, live=LIVE, publisher=small_publisher(), **options))


def change_of(recommender: Recommender, **asked: Any) -> AskedChange:
    return AskedChange(recommender.version, **asked)


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_every_agent_recommends_a_new_item_and_scores_others_as_before(name: str) -> None:
    before = make_recommender(name)
    after = follow(before, change_of(before, new=[new_item()], release=[IDS[1]]))
    request = RecommendRequest(history=[IDS[2]], n=8)
    answer = after.recommend(request)
    assert NEW in answer.items
    assert IDS[1] not in answer.items
    assert answer.illegal == 0
    codes = after.catalogue.codes
    # items of one code may share what the code has
    alone = [item for item in LIVE[1:] if (codes[item] != codes[N_ITEMS + 1]).any()]
    others = [IDS[item] for item in alone]
    asked = RecommendRequest(history=[IDS[2]], candidates=others, n=7)
    one, other = before.recommend(asked), after.recommend(asked)
    assert one.items == other.items
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4, atol=1e-6)


def test_vector_and_codes_are_those_of_the_frozen_transform() -> None:
    before = make_recommender()
    after = follow(before, change_of(before, new=[new_item(13, title="The End")]))
    row = after.model.item_index["13"]
    assert row == N_ITEMS + 1
    # marks, (112 - 100) / 10 and log(1 + price), of length 1, half as much as the given vector
    content = np.array([1.0, 0.0, 1.2, np.log1p(3.0)])
    parts = np.concatenate(
        [0.5 * content / np.linalg.norm(content), np.array([0.1, -0.4, 0.3]) / np.sqrt(0.26)]
    )
    placed = parts @ small_publisher().vectorizer.axes
    vector = placed / np.linalg.norm(placed)
    np.testing.assert_allclose(after.catalogue.item_vectors[row], vector, atol=1e-6)
    codes = small_publisher().quantizer.encode(vector[None].astype(np.float32))
    assert after.catalogue.codes[row].tolist() == codes[0].tolist()
    assert (before.catalogue.n_items, before.model.item_index.get("13")) == (N_ITEMS, None)


def test_a_new_item_counts_in_histories() -> None:
    before = make_recommender()
    after = follow(before, change_of(before, new=[new_item()]))
    asked = RecommendRequest(history=[NEW], n=3)
    assert before.recommend(asked).unknown_history == 1
    known = after.recommend(asked)
    assert known.unknown_history == 0
    assert known.scores != after.recommend(RecommendRequest(n=3)).scores


def test_weights_of_a_new_item_start_by_the_rule_of_the_agent() -> None:
    before = make_recommender("sl")  # an own learned vector for every item
    after = follow(before, change_of(before, new=[new_item()]))
    old, new = before.agent.policy_state(), after.agent.policy_state()
    name = "encoder.items.id_embedding.weight"
    assert new[name][N_ITEMS + 1].abs().sum() == 0.0
    assert (new[name][: N_ITEMS + 1] == old[name]).all()


def test_items_come_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsrl_pipeline.serving.catalogue_change.ROOM_SHARE", 0.2)
    recommender = make_recommender()
    sizes = []
    for number in range(13, 18):
        item = new_item(f"film {number}", vector=[0.1 * number, 1.0, -1.0])
        recommender = follow(recommender, change_of(recommender, new=[item]))
        sizes.append(recommender.catalogue.n_items)
    assert sizes == [14, 14, 17, 17, 17]
    answer = recommender.recommend(RecommendRequest(n=13))
    assert {f"film {number}" for number in range(13, 18)} <= set(answer.items)
    gone = follow(recommender, change_of(recommender, release=["film 14"]))
    assert "film 14" not in gone.recommend(RecommendRequest(n=12)).items
    back = follow(gone, change_of(gone, add=["film 14"]))
    assert back.recommend(RecommendRequest(n=13)) == answer


def test_items_of_the_model_and_new_ones_come_together() -> None:
    before = Recommender(small_model(live=LIVE, later=[10], publisher=small_publisher()))
    after = follow(before, change_of(before, new=[new_item()], add=[IDS[10], IDS[4]]))
    assert {NEW, IDS[10], IDS[4]} <= set(after.recommend(RecommendRequest(n=11)).items)


def test_a_new_item_lies_on_a_shelf() -> None:
    shelves = np.array([0] + [1] * 6 + [2] * 6)
    before = Recommender(small_model(shelves=shelves, publisher=small_publisher()))
    asked = change_of(before, new=[new_item(shelf=2)], release=[IDS[item] for item in range(7, 12)])
    after = follow(before, asked)
    assert set(after.recommend(RecommendRequest(n=4)).items[2:]) == {NEW, IDS[12]}
    with pytest.raises(RequestError, match="one of the shelves 1, 2") as refused:
        follow(before, change_of(before, new=[new_item(shelf=3)]))
    assert refused.value.field == "new.0.shelf"


def test_a_file_keeps_the_transform(tmp_path: Any) -> None:
    model = small_model(live=LIVE, publisher=small_publisher())
    write_checkpoint(tmp_path / "model.safetensors", model.to_checkpoint())
    restored = ServedModel.from_checkpoint(read_checkpoint(tmp_path / "model.safetensors"))
    after = [
        follow(one, change_of(one, new=[new_item()]))
        for one in (Recommender(model), Recommender(restored))
    ]
    assert after[0].version == after[1].version
    grown = after[0].model
    write_checkpoint(tmp_path / "grown.safetensors", grown.to_checkpoint())
    again = ServedModel.from_checkpoint(read_checkpoint(tmp_path / "grown.safetensors"))
    assert again.item_ids == grown.item_ids


WITHOUT_LENGTH = {"genre_war": 1.0}
BAD_ITEMS = [
    ({"item_id": IDS[1]}, "new.0.item_id", "live already"),
    ({"item_id": f" {IDS[4]} "}, "new.0.item_id", "name it in add"),
    ({"item_id": " "}, "new.0.item_id", "characters"),
    ({"item_id": "x" * 257}, "new.0.item_id", "characters"),
    ({"item_id": "\ud800"}, "new.0.item_id", "no text"),
    ({"item_id": True}, "new.0.item_id", "whole number"),
    ({"title": "\ud800"}, "new.0.title", "no text"),
    ({"content": WITHOUT_LENGTH}, "new.0.content.length", "missing"),
    ({"content": {**WITHOUT_LENGTH, "age": 1.0}}, "new.0.content.age", "no such feature"),
    ({"content": {"length": float("nan")}}, "new.0.content.length", "NaN"),
    ({"content": {"length": 10**400}}, "new.0.content.length", "infinity"),
    ({"content": {"length": 1e30}}, "new.0.content.length", "standard deviations"),
    ({"content": {"length": 1, "genre_war": float("inf")}}, "new.0.content.genre_war", "infinity"),
    ({"vector": None}, "new.0.vector", "missing"),
    ({"vector": [1.0, 2.0]}, "new.0.vector", "has 2 numbers, not 3"),
    ({"vector": [1.0, float("nan"), 2.0]}, "new.0.vector.1", "NaN"),
    ({"vector": [1.0, 1e39, 2.0]}, "new.0.vector.1", "larger"),
    ({"price": float("inf")}, "new.0.price", "infinity"),
    ({"special": True}, "new.0.special", "no such feature"),
    ({"shelf": 1}, "new.0.shelf", "no such feature"),
]


@pytest.mark.parametrize(("given_", "field", "message"), BAD_ITEMS)
def test_what_is_wrong_with_a_new_item_is_named(
    given_: dict[str, Any], field: str, message: str
) -> None:
    before = make_recommender()
    item = new_item(given_.pop("item_id", NEW), **given_)
    with pytest.raises(RequestError, match=message) as refused:
        follow(before, change_of(before, new=[item]))
    assert refused.value.field == field
    assert set(before.recommend(RecommendRequest(n=8)).items) == {IDS[item] for item in LIVE}


def test_a_change_is_made_as_a_whole_or_not_at_all() -> None:
    before = make_recommender()
    for asked, field in (
        ({"new": [new_item(), new_item()]}, "new.1.item_id"),
        ({"new": [new_item()], "release": [NEW]}, "release.0"),
        ({"new": [new_item()], "add": [IDS[1]]}, "add.0"),
        ({"new": [new_item(), new_item("film 14", vector=None)]}, "new.1.vector"),
    ):
        with pytest.raises(RequestError) as refused:
            follow(before, change_of(before, **asked))
        assert refused.value.field == field
    with pytest.raises(VersionConflict):
        follow(before, AskedChange("another", new=[new_item()]))
    assert before.catalogue.n_items == N_ITEMS


def test_where_no_code_is_free_or_no_transform_is_kept_new_items_are_refused() -> None:
    full = Recommender(small_model(publisher=small_publisher("reassign")))
    for recommender, message in (
        (full, "more codes"),
        (Recommender(small_model()), "no transform"),
    ):
        with pytest.raises(RequestError, match=message) as refused:
            follow(recommender, change_of(recommender, new=[new_item()]))
        assert refused.value.field == "new"


def test_what_is_not_known_counts_as_in_the_data() -> None:
    before = make_recommender()
    items = [
        new_item("told", content={"length": 100.0, "genre_love": 0.0}, price=5.0),
        new_item("not told", content={"length": None}, price=None),
    ]
    after = follow(before, change_of(before, new=items))
    one, other = (after.catalogue.item_vectors[after.model.item_index[name]] for name in
                  ("told", "not told"))  # fmt: skip
    np.testing.assert_array_equal(one, other)


RECOMMENDER = make_recommender()
NUMBERS = st.floats() | st.integers() | st.none()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.builds(
            NewItem,
            st.text(max_size=4) | st.integers(),
            title=st.text(max_size=4),
            content=st.dictionaries(
                st.sampled_from(["length", "genre_war", "genre_love"]) | st.text(max_size=2),
                NUMBERS,
                max_size=3,
            ),
            vector=st.none() | st.lists(st.floats(width=32), min_size=3, max_size=3),
            price=NUMBERS,
        ),
        min_size=1,
        max_size=2,
    )
)
def test_any_description_is_taken_or_refused_by_field(items: list[NewItem]) -> None:
    try:
        after = follow(RECOMMENDER, change_of(RECOMMENDER, new=items))
    except RequestError as error:
        assert error.field.startswith("new")
        json.dumps(error.what)
    else:
        assert len(after.catalogue.live_items) == len(LIVE) + len(items)
        assert np.isfinite(after.catalogue.item_vectors).all()
