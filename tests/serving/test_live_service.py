"""When a change of the catalogue is acknowledged."""

from __future__ import annotations

import asyncio

import pytest

from hsrl_pipeline.serving import Recommender, RecommendRequest, RequestError
from hsrl_pipeline.serving.catalogue_change import AskedChange, VersionConflict
from hsrl_pipeline.serving.live_service import LiveService

from .small_model import IDS, new_item, small_model, small_publisher


def make_service(outcomes: list[str]) -> LiveService:
    return LiveService(Recommender(small_model()), outcomes.append)


def test_a_change_waits_until_answers_of_the_version_before_are_sent() -> None:
    async def run() -> None:
        service = make_service([])
        before = service.now
        before.enter()
        version = before.recommender.version
        change = asyncio.create_task(service.change(AskedChange(version, release=[IDS[1]])))
        while service.now is before:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert not change.done()  # somebody still holds an answer that may show film 1
        before.leave()
        swap = await change
        assert (swap.version_before, swap.version) == (version, service.now.recommender.version)

    asyncio.run(run())


def test_changes_that_come_together_take_turns() -> None:
    async def run() -> None:
        outcomes: list[str] = []
        service = make_service(outcomes)
        version = service.now.recommender.version
        done = await asyncio.gather(
            *(service.change(AskedChange(version, release=[IDS[item]])) for item in (1, 2)),
            return_exceptions=True,
        )
        assert isinstance(done[1], VersionConflict)
        assert outcomes == ["done", "refused"]
        assert len(service.now.recommender.catalogue.live_items) == 11

    asyncio.run(run())


def test_going_back_twice_goes_forward() -> None:
    async def run() -> None:
        service = make_service([])
        first = service.now.recommender.version
        second = (await service.change(AskedChange(first, release=[IDS[1]]))).version
        versions = [(await service.roll_back()).version for _ in range(3)]
        assert versions == [first, second, first]

    asyncio.run(run())


def test_an_item_nobody_has_published_cannot_arrive() -> None:
    async def run() -> None:
        outcomes: list[str] = []
        service = LiveService(Recommender(small_model(later=[10])), outcomes.append)
        version = service.now.recommender.version
        model = service.now.recommender.model
        object.__setattr__(model, "arrivals", None)
        with pytest.raises(RequestError, match="no vector and semantic ID"):
            await service.change(AskedChange(version, add=[IDS[10]]))

    asyncio.run(run())


def test_going_back_takes_new_items_out_again() -> None:
    async def run() -> None:
        service = LiveService(Recommender(small_model(publisher=small_publisher())), lambda _: None)
        first = service.now.recommender.version
        await service.change(AskedChange(first, release=[IDS[1]], new=[new_item()]))
        assert "film 13" in service.now.recommender.recommend(RecommendRequest(n=12)).items
        back = await service.roll_back()
        assert back.version == first
        answer = service.now.recommender.recommend(RecommendRequest(history=["film 13"], n=12))
        assert set(answer.items) == set(IDS[1:])
        assert answer.unknown_history == 1
        forward = await service.roll_back()
        assert (forward.kind, len(service.now.recommender.catalogue.live_items)) == ("rollback", 12)

    asyncio.run(run())
