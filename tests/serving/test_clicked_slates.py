"""What a policy that follows clicks takes in while it serves, and what outlives a swap."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from hsrl_pipeline.serving import Recommender, RecommendRequest
from hsrl_pipeline.serving.catalogue_change import AskedChange, follow
from hsrl_pipeline.serving.clicked_slates import (
    ClickedSlate,
    ShownSlate,
    follows_clicks,
    hand_over,
    take_in,
)
from hsrl_pipeline.serving.live_service import LiveService
from hsrl_pipeline.serving.requests import observe

from .small_model import IDS, new_item, small_model, small_publisher

LATER = (10, 11)
REQUEST = RecommendRequest(history=[IDS[2], IDS[5]], user={"age": 30, "country": "DE"}, n=2)


def following(**settings: Any) -> Recommender:
    """Return a recommender whose policy follows clicks, under a version with two new items."""
    model = small_model(
        later=LATER, publisher=small_publisher(), **{"arrival_prior": 1.0, **settings}
    )
    first = Recommender(model)
    return follow(first, AskedChange(first.version, add=[IDS[item] for item in LATER]))


def clicked(
    recommender: Recommender, items: Sequence[str], clicks: Sequence[str], **asked: Any
) -> ClickedSlate:
    read = recommender.read(RecommendRequest(**{**vars(REQUEST), **asked}))
    return ClickedSlate(ShownSlate.of(recommender, read, items), frozenset(clicks))


def known(recommender: Recommender) -> dict[str, list[float]]:
    """Return effect and information of each item whose clicks the policy follows."""
    items, numbers = recommender.agent.followed_items()  # type: ignore[attr-defined]
    names = [recommender.model.item_ids[item] for item in items.tolist()]
    return dict(zip(names, numbers.tolist(), strict=True))


@pytest.mark.parametrize("history", ["clicks", "responses"])
@pytest.mark.parametrize("action_space", ["semantic_ids", "items"])
def test_slates_are_taken_in_as_by_hand(action_space: str, history: str) -> None:
    settings = {"action_space": action_space, "history": history}
    served, by_hand = following(**settings), following(**settings)
    told = {"responses": [1, 0]}
    slates = [
        clicked(served, [IDS[10], IDS[1]], [IDS[10]], **told),
        clicked(served, [IDS[11], IDS[10], IDS[3]], [IDS[3]], exclude=[IDS[4]]),
    ]
    take_in(served, slates)
    reads = [by_hand.read(RecommendRequest(**{**vars(REQUEST), **asked})) for asked in (told, {})]
    observation = observe(reads, by_hand.model.history_size, by_hand.model.reads_responses)
    by_hand.agent.observe(  # type: ignore[attr-defined]
        observation,
        torch.tensor([[10, 1, 0], [11, 10, 3]]),
        torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
    )
    assert known(served) == known(by_hand)
    assert known(served)[IDS[11]][0] < 0.0
    assert served.recommend(REQUEST) == by_hand.recommend(REQUEST)


def test_a_policy_that_does_not_follow_clicks_takes_nothing_in() -> None:
    plain = following(arrival_prior=None)
    assert not follows_clicks(plain) and follows_clicks(following())
    before = plain.recommend(REQUEST)
    take_in(plain, [clicked(plain, [IDS[10]], [IDS[10]])])
    hand_over(plain, following(arrival_prior=None))
    assert plain.recommend(REQUEST) == before
    other = Recommender(small_model("sl"))
    assert not follows_clicks(other)
    take_in(other, [clicked(other, [IDS[1]], [])])


def test_statistics_outlive_changes_and_going_back_and_start_at_zero_for_what_arrives() -> None:
    async def run() -> None:
        service = LiveService(following(), lambda _: None)
        first = service.now.recommender
        service.take_in([clicked(first, [IDS[10], IDS[11]], [IDS[10]])])
        learned = known(first)
        assert learned[IDS[10]][0] > 0.0 > learned[IDS[11]][0]

        await service.change(AskedChange(first.version, release=[IDS[11]], new=[new_item()]))
        second = service.now.recommender
        assert known(second) == {**learned, "film 13": [0.0, 0.0]}
        # shown before the change, clicked after it; one item has left meanwhile
        service.take_in([clicked(first, [IDS[10], IDS[11]], [IDS[10]])])
        service.take_in([clicked(second, ["film 13", IDS[10]], ["film 13"])])
        moved = known(second)
        assert moved["film 13"][0] > 0.0 and moved[IDS[10]] != learned[IDS[10]]
        assert known(first) == learned

        await service.roll_back()
        assert service.now.recommender is first
        staying = {name: moved[name] for name in learned}
        assert known(first) == staying
        # the version of now has never had this item, neither shown nor in a history
        late = clicked(second, ["film 13"], ["film 13"], history=["film 13", IDS[1]])
        service.take_in([late])
        assert known(first) == staying

        await service.roll_back()
        assert service.now.recommender is second
        assert known(second) == moved

    asyncio.run(run())


def test_another_item_in_the_row_of_one_that_was_taken_out_starts_at_zero() -> None:
    async def run() -> None:
        service = LiveService(following(), lambda _: None)
        first = service.now.recommender
        await service.change(AskedChange(first.version, new=[new_item()]))
        second = service.now.recommender
        service.take_in([clicked(second, ["film 13", IDS[10]], ["film 13"])])
        learned = known(second)
        await service.roll_back()
        await service.change(AskedChange(first.version, new=[new_item("film 14")]))
        third = service.now.recommender
        assert third.model.item_index["film 14"] == second.model.item_index["film 13"]
        assert known(third)["film 14"] == [0.0, 0.0]
        assert known(third)[IDS[10]] == learned[IDS[10]] != [0.0, 0.0]
        hand_over(second, third)  # straight from one to the other: by names and not by rows
        assert known(third)["film 14"] == [0.0, 0.0]

    asyncio.run(run())


def test_what_is_taken_in_while_the_next_version_is_built_goes_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        service = LiveService(following(), lambda _: None)
        first = service.now.recommender
        warm_up = Recommender.warm_up

        def meanwhile(self: Recommender, batches: Sequence[int] = (1,)) -> None:
            service.take_in([clicked(first, [IDS[10]], [IDS[10]])])
            warm_up(self, batches)

        monkeypatch.setattr(Recommender, "warm_up", meanwhile)
        await service.change(AskedChange(first.version, release=[IDS[1]]))
        assert known(service.now.recommender) == known(first)
        assert known(first)[IDS[10]][0] > 0.0

    asyncio.run(run())
