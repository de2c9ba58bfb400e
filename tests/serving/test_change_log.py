"""Changes that several replicas make: all of them, in one order, before they are acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hsrl_pipeline.serving import Recommender, create_app
from hsrl_pipeline.serving.catalogue_change import AskedChange
from hsrl_pipeline.serving.change_follower import ChangeFollower, ReplicaLost
from hsrl_pipeline.serving.change_log import ChangeLog, Outcome

from .small_model import IDS, Caller, small_model, small_publisher, until_ready

TOKEN = "secret"
LEASE = 1.0
Scenario = Callable[[ChangeLog, list[Caller], list[ChangeFollower]], Awaitable[None]]


def make_replica(log: ChangeLog, name: str) -> tuple[Any, ChangeFollower]:
    follower = ChangeFollower(log, name, lease=LEASE)
    recommender = Recommender(small_model(publisher=small_publisher()))
    return create_app(recommender, token=TOKEN, follower=follower), follower


def with_replicas(scenario: Scenario, count: int = 3) -> None:
    """Run a scenario with some replicas of one application."""

    async def run() -> None:
        log = ChangeLog(lease=LEASE)
        made = [make_replica(log, f"replica {number}") for number in range(count)]
        callers = [Caller(app) for app, _ in made]
        contexts = [app.router.lifespan_context(app) for app, _ in made]
        for context, call in zip(contexts, callers, strict=True):
            await context.__aenter__()
            await until_ready(call)
        await scenario(log, callers, [follower for _, follower in made])
        for context in contexts:
            await context.__aexit__(None, None, None)

    asyncio.run(run())


async def version_of(call: Caller) -> str:
    return str((await call("GET", "/catalogue"))[1]["catalogue_version"])


def test_a_change_at_one_replica_is_made_by_all_before_it_is_acknowledged() -> None:
    item = {"item_id": "film 13", "content": {"length": 90}, "vector": [1, 0.5, -1]}

    async def scenario(log: ChangeLog, calls: list[Caller], _: list[ChangeFollower]) -> None:
        first = await version_of(calls[0])
        body = {"version_before": first, "release": [IDS[1]], "new": [item]}
        status, told = await calls[1]("POST", "/catalogue", body, token=TOKEN)
        assert (status, told["live_items"], told["version_before"]) == (200, 12, first)
        for call in calls:
            _, answer = await call("POST", "/recommend", {"n": 12})
            assert answer["catalogue_version"] == told["catalogue_version"]
            assert set(answer["items"]) == {*IDS[2:], "film 13"}
        status, told = await calls[2]("POST", "/catalogue/rollback", token=TOKEN)
        assert status == 200
        assert {await version_of(call) for call in calls} == {first}

    with_replicas(scenario)


def test_all_replicas_refuse_what_one_refuses() -> None:
    async def scenario(log: ChangeLog, calls: list[Caller], _: list[ChangeFollower]) -> None:
        first = await version_of(calls[0])
        for body, status, field in (
            ({"version_before": first, "release": ["film 99"]}, 422, "release.0"),
            ({"version_before": "another", "release": [IDS[1]]}, 409, "version_before"),
        ):
            answered, told = await calls[0]("POST", "/catalogue", body, token=TOKEN)
            assert (answered, told["field"]) == (status, field)
        assert (await calls[1]("POST", "/catalogue/rollback", token=TOKEN))[0] == 409
        assert {await version_of(call) for call in calls} == {first}
        body = {"version_before": first, "release": [IDS[1]]}
        told = [await call("POST", "/catalogue", body, token=TOKEN) for call in calls]
        assert [status for status, _ in told] == [200, 409, 409]

    with_replicas(scenario)


def test_changes_asked_for_at_once_take_turns() -> None:
    async def scenario(log: ChangeLog, calls: list[Caller], _: list[ChangeFollower]) -> None:
        first = await version_of(calls[0])
        told = await asyncio.gather(
            *(
                call(
                    "POST", "/catalogue", {"version_before": first, "release": [item]}, token=TOKEN
                )
                for call, item in zip(calls, IDS[1:], strict=False)
            )
        )
        assert sorted(status for status, _ in told) == [200, 409, 409]
        assert len({await version_of(call) for call in calls}) == 1

    with_replicas(scenario)


def test_a_replica_that_comes_later_makes_all_changes_first() -> None:
    async def scenario(log: ChangeLog, calls: list[Caller], _: list[ChangeFollower]) -> None:
        for item in IDS[1:4]:
            body = {"version_before": await version_of(calls[0]), "release": [item]}
            assert (await calls[0]("POST", "/catalogue", body, token=TOKEN))[0] == 200
        app, _ = make_replica(log, "late")
        async with app.router.lifespan_context(app):
            late = Caller(app)
            assert await version_of(late) == await version_of(calls[0])
            await calls[0]("POST", "/catalogue/rollback", token=TOKEN)
            assert await version_of(late) == await version_of(calls[0])

    with_replicas(scenario, count=1)


def test_a_lost_replica_stops_answering_before_it_is_not_waited_for_any_more() -> None:
    async def scenario(
        log: ChangeLog, calls: list[Caller], followers: list[ChangeFollower]
    ) -> None:
        for task in followers[1]._tasks:
            task.cancel()  # as if its machine had been cut off
        body = {"version_before": await version_of(calls[0]), "release": [IDS[1]]}
        change = asyncio.create_task(calls[0]("POST", "/catalogue", body, token=TOKEN))
        while not change.done():
            answered = (await calls[1]("POST", "/recommend", {"n": 2}))[0]
            await asyncio.sleep(0.02)
        assert (await change)[0] == 200
        assert answered == 503
        with pytest.raises(ReplicaLost):
            followers[1].refuse_lost()
        assert (await calls[0]("POST", "/recommend", {"n": 2}))[0] == 200

    with_replicas(scenario, count=2)


def test_a_replica_that_fails_at_a_change_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(
        log: ChangeLog, calls: list[Caller], followers: list[ChangeFollower]
    ) -> None:
        async def broken(_: Any) -> Any:
            raise MemoryError

        assert followers[1]._service is not None
        monkeypatch.setattr(followers[1]._service, "change", broken)
        body = {"version_before": await version_of(calls[0]), "release": [IDS[1]]}
        assert (await calls[0]("POST", "/catalogue", body, token=TOKEN))[0] == 200
        assert (await calls[1]("POST", "/recommend", {"n": 2}))[0] == 503
        with pytest.raises(RuntimeError, match="replica 1"):
            followers[1].check()
        followers[0].check()

    with_replicas(scenario, count=2)


def test_one_that_left_is_not_waited_for() -> None:
    async def run() -> None:
        log = ChangeLog(lease=60.0)
        assert await log.join("a", 0)
        assert await log.join("b", 0)
        proposal = asyncio.create_task(log.propose(AskedChange("v")))
        (change,) = await log.wait_after(0, 1.0)
        assert change is not None
        assert change.version_before == "v"
        assert not await log.join("c", 0)  # it has not made the change
        await log.made("a", 1, Outcome("w"))
        await asyncio.sleep(0.05)
        assert not proposal.done()
        await log.leave("b")
        assert await proposal == {"a": Outcome("w")}
        assert await log.wait_after(1, 0.01) == []
        assert not await log.alive("b")

    asyncio.run(run())
