"""Answers of one recommender: searching, ranking candidates, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsrl_pipeline.catalogue import LiveCatalogue
from hsrl_pipeline.checkpoint import read_checkpoint, write_checkpoint
from hsrl_pipeline.config.agent import AGENT_NAMES
from hsrl_pipeline.networks import code_search
from hsrl_pipeline.serving import Recommender, RecommendRequest, RequestError, ServedModel

from .small_model import FIRST, IDS, LAST, small_model

LIVE = [1, 2, 3, 5, 7, 9, 11, 12]
USER = {"country": "DE", "age": 30}
ASKED = RecommendRequest(history=[IDS[4], IDS[2]], user=USER, n=5)


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    return Recommender(small_model(live=LIVE))


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_every_agent_answers_with_live_items_and_their_codes(name: str) -> None:
    model = small_model(name, live=LIVE)
    answer = Recommender(model).recommend(ASKED)
    indices = [IDS.index(item) for item in answer.items]
    assert len(set(indices)) == 5
    assert set(indices) <= set(LIVE)
    assert answer.semantic_ids == model.catalogue.codes[indices].tolist()
    assert answer.scores == sorted(answer.scores, reverse=True)
    assert answer.illegal == 0
    assert answer.catalogue_version == model.catalogue.version


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_candidates_come_in_the_order_of_the_whole_catalogue(name: str) -> None:
    recommender = Recommender(small_model(name, live=LIVE))
    whole = recommender.recommend(RecommendRequest(history=ASKED.history, user=USER, n=8))
    some = [whole.items[place] for place in (6, 1, 4)]
    ranked = recommender.recommend(
        RecommendRequest(history=ASKED.history, user=USER, candidates=some, n=8)
    )
    assert ranked.items == [whole.items[place] for place in (1, 4, 6)]
    np.testing.assert_allclose(ranked.scores, np.array(whole.scores)[[1, 4, 6]], rtol=1e-4)


@pytest.mark.parametrize("head", ["look_up", "codes", "trie"])
def test_a_batch_is_answered_as_one_by_one(head: str) -> None:
    recommender = Recommender(small_model(live=LIVE, policy_head=head))
    requests = [
        ASKED,
        RecommendRequest(n=3),
        RecommendRequest(candidates=[IDS[1], IDS[4], IDS[5]], exclude=[IDS[5]], n=2),
        RecommendRequest(history=[IDS[1]], candidates=[IDS[12], IDS[11]], n=8),
        RecommendRequest(history=[IDS[1]], exclude=[IDS[1], IDS[2]], n=7),
    ]
    together = recommender.answer_all(requests)
    for request, answer in zip(requests, together, strict=True):
        alone = recommender.recommend(request)
        assert not isinstance(answer, RequestError)
        assert answer.items == alone.items
        np.testing.assert_allclose(answer.scores, alone.scores, rtol=1e-4, atol=1e-5)
    assert together[2].items == [IDS[1]]  # film 4 is not live
    assert len(together[4].items) == 6


@pytest.mark.parametrize("head", ["look_up", "codes"])
def test_a_search_by_code_answers_as_a_look_at_all_items_does(
    head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model(live=LIVE, policy_head=head)
    requests = [ASKED, RecommendRequest(n=8), RecommendRequest(exclude=[IDS[1], IDS[2]], n=4)]
    everything = LiveCatalogue(np.arange(13) > 0, model.launch.item_vectors, model.launch.codes)
    looking = Recommender(model)
    looking_on = looking.under(everything)
    sizes = {"FEWEST_ITEMS": 1, "FEWEST_PER_GROUP": 0.0, "LOOSEST": np.inf, "LARGEST_SHARE": 1}
    for name, value in {**sizes, "FIRST_GROUPS": 1}.items():
        monkeypatch.setattr(code_search, name, value)
    searching, found = Recommender(model), []
    best = code_search.CodeSearch.best
    monkeypatch.setattr(
        code_search.CodeSearch, "best", lambda *args: found.append(best(*args)) or found[-1]
    )
    for one, other in (
        (searching, looking),
        (searching.under(everything), looking_on),
    ):
        for request in requests:
            answer, expected = one.recommend(request), other.recommend(request)
            assert answer.items == expected.items
            np.testing.assert_allclose(answer.scores, expected.scores, rtol=1e-5)
    assert sum(result is not None for result in found) == 2 * len(requests)


def test_history_and_user_matter(recommender: Recommender) -> None:
    asked = [ASKED, RecommendRequest(n=5), RecommendRequest(user={"country": "FR"}, n=5)]
    scores = [recommender.recommend(request).scores for request in asked]
    assert len({tuple(row) for row in scores}) == 3


def test_numbers_are_ids_too() -> None:
    model = small_model()
    numbered = ServedModel(**{**vars(model), "item_ids": ("", *map(str, range(12)))})
    recommender = Recommender(numbered)
    asked = [RecommendRequest(history=ids, n=2) for ids in ([3, 4], ["3", " 4 "])]
    assert recommender.recommend(asked[0]) == recommender.recommend(asked[1])


def test_only_the_newest_of_a_long_history_count(recommender: Recommender) -> None:
    newest = [IDS[1], IDS[2], IDS[3], IDS[5]]  # the window has four places
    longer = [IDS[9]] * 30 + newest
    asked = [RecommendRequest(history=ids, n=3) for ids in (newest, longer)]
    assert recommender.recommend(asked[0]) == recommender.recommend(asked[1])


def test_unknown_ids_of_a_history_are_passed_over_and_counted(recommender: Recommender) -> None:
    known = recommender.recommend(RecommendRequest(history=[IDS[4]], n=3))
    mixed = recommender.recommend(RecommendRequest(history=["who?", IDS[4], "?"], n=3))
    assert mixed.items == known.items
    assert (known.unknown_history, mixed.unknown_history) == (0, 2)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"history": []}, "history"),
        ({"history": ["x"] * 10_001}, "history"),
        ({"history": [1.5]}, "history.0"),
        ({"history": [True]}, "history.0"),
        ({"n": 0}, "n"),
        ({"n": -3}, "n"),
        ({"n": len(LIVE) + 1}, "n"),
        ({"candidates": []}, "candidates"),
        ({"candidates": ["who?"]}, "candidates"),
        ({"candidates": [IDS[4], IDS[6]]}, "candidates"),  # neither is live
        ({"candidates": [IDS[1], [IDS[2]]]}, "candidates.1"),
        ({"exclude": [IDS[1], None]}, "exclude.1"),
        ({"candidates": [IDS[1]], "exclude": [IDS[1]]}, "exclude"),
        ({"exclude": list(IDS[1:])}, "exclude"),
        ({"user": {"age": float("nan")}}, "user.age"),
    ],
)
def test_what_cannot_be_answered_names_the_field(
    recommender: Recommender, request_: dict[str, Any], field: str
) -> None:
    with pytest.raises(RequestError) as refused:
        recommender.recommend(RecommendRequest(**{"n": 2, **request_}))
    assert refused.value.field == field


def test_the_next_version_stands_beside_the_one_that_answers(recommender: Recommender) -> None:
    before = recommender.recommend(RecommendRequest(n=8))
    released = IDS.index(before.items[0])
    tables = recommender.catalogue
    live = tables.live.copy()
    live[released], live[4] = False, True
    following = recommender.under(LiveCatalogue(live, tables.item_vectors, tables.codes))
    after = following.recommend(RecommendRequest(n=8))
    assert before.items[0] not in after.items
    assert IDS[4] in after.items
    assert recommender.recommend(RecommendRequest(n=8)) == before


@pytest.mark.parametrize("head", ["look_up", "trie"])
def test_a_file_gives_the_same_answers(tmp_path: Path, head: str) -> None:
    model = small_model(live=LIVE, later=[10], policy_head=head)
    write_checkpoint(tmp_path / "model.safetensors", model.to_checkpoint())
    restored = ServedModel.from_checkpoint(read_checkpoint(tmp_path / "model.safetensors"))
    assert Recommender(restored).recommend(ASKED) == Recommender(model).recommend(ASKED)
    assert restored.arrivals is not None
    assert restored.arrivals.items.tolist() == [10]


def test_drawn_items_carry_the_chance_that_they_had() -> None:
    recommender = Recommender(small_model(live=LIVE), explore=True, seed=0)
    some = [IDS[1], IDS[2], IDS[3]]
    asked = recommender.read(RecommendRequest(history=[IDS[4]], candidates=some, n=2))
    greedy = Recommender(recommender.model).recommend(
        RecommendRequest(history=[IDS[4]], candidates=some, n=3)
    )
    weight = dict(zip(greedy.items, np.exp(greedy.scores), strict=True))
    answers = recommender.answer([asked] * 3000)
    for answer in answers[:20]:
        first, second = (weight[item] for item in answer.items)
        total = sum(weight.values())
        expected = [np.log(first / total), np.log(second / (total - first))]
        np.testing.assert_allclose(answer.log_probs, expected, atol=1e-5)
    share = np.mean([answer.items[0] == some[0] for answer in answers])
    assert abs(share - weight[some[0]] / sum(weight.values())) < 0.04
    searched = recommender.recommend(RecommendRequest(n=8))
    assert set(searched.items) == {IDS[item] for item in LIVE}


def test_items_of_shelves_come_in_equal_numbers() -> None:
    shelves = np.array([0] + [1] * 6 + [2] * 6)
    recommender = Recommender(small_model(shelves=shelves))
    answers = recommender.answer_all([RecommendRequest(n=4), RecommendRequest(n=2)])
    assert [[IDS.index(item) > 6 for item in answer.items] for answer in answers] == [
        [False, False, True, True],
        [False, True],
    ]
    with pytest.raises(RequestError, match="shelves"):
        recommender.recommend(RecommendRequest(n=3))


def test_first_and_last_item_can_be_recommended() -> None:
    answer = Recommender(small_model()).recommend(RecommendRequest(n=12))
    assert {FIRST, LAST} <= set(answer.items)
