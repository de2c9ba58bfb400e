"""Feedback over the application to a policy that follows clicks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from hsrl_pipeline.networks.arrival_statistics import ArrivalStatistics
from hsrl_pipeline.serving import Recommender, RecommendRequest, click_intake, create_app
from hsrl_pipeline.serving.batching import Batcher
from hsrl_pipeline.serving.catalogue_change import AskedChange, follow
from hsrl_pipeline.serving.click_intake import ClickIntake, Room
from hsrl_pipeline.serving.clicked_slates import ClickedSlate, ShownSlate
from hsrl_pipeline.serving.event_log import EventLog
from hsrl_pipeline.serving.requests import observe

from .small_model import IDS, Caller, new_item, small_model, small_publisher, until_ready

TOKEN = "secret"
NEW, OTHER = IDS[10], IDS[1]
ASKED = {"history": [IDS[2], IDS[5]], "user": {"age": 30}, "candidates": [NEW, OTHER], "n": 2}


def served(
    scenario: Callable[[Caller, Recommender], Awaitable[None]],
    *,
    arrival_prior: float | None = 1.0,
    events: EventLog | None = None,
) -> None:
    """Run a scenario with a server on which an item has arrived, and its like to do by hand."""
    model = small_model(later=[10], publisher=small_publisher(), arrival_prior=arrival_prior)
    first = Recommender(model)
    by_hand = follow(first, AskedChange(first.version, add=[NEW]))

    async def run() -> None:
        app = create_app(Recommender(model), token=TOKEN, events=events)
        async with app.router.lifespan_context(app):
            call = Caller(app)
            await until_ready(call)
            body = {"version_before": first.version, "add": [NEW]}
            assert (await call("POST", "/catalogue", body, token=TOKEN))[0] == 200
            await scenario(call, by_hand)

    asyncio.run(run())


async def show(call: Caller) -> tuple[str, dict[str, float]]:
    """Return the id of a request and the score of each item."""
    status, answer = await call("POST", "/recommend", ASKED)
    assert status == 200
    return answer["request_id"], dict(zip(answer["items"], answer["scores"], strict=True))


async def tell(call: Caller, request_id: str, clicks: Sequence[str]) -> int:
    """Send feedback and wait until nothing waits to be taken in."""
    status, _ = await call("POST", "/feedback", {"request_id": request_id, "clicks": list(clicks)})
    await asyncio.sleep(3 * click_intake.SECONDS_TO_GATHER)
    return status


async def taken_in(call: Caller, outcome: str = "taken_in") -> int:
    name = f'hsrl_followed_slates_total{{outcome="{outcome}"}} '
    lines = (await call("GET", "/metrics"))[1].splitlines()
    return sum(int(line.removeprefix(name)) for line in lines if line.startswith(name))


def do_by_hand(recommender: Recommender, shown: Sequence[str], clicks: Sequence[str]) -> None:
    model = recommender.model
    read = recommender.read(RecommendRequest(**ASKED))
    recommender.agent.observe(  # type: ignore[attr-defined]
        observe([read], model.history_size, model.reads_responses),
        torch.tensor([[model.item_index[name] for name in shown]]),
        torch.tensor([[float(name in clicks) for name in shown]]),
    )


def score_by_hand(recommender: Recommender) -> dict[str, float]:
    answer = recommender.recommend(RecommendRequest(**ASKED))
    return dict(zip(answer.items, answer.scores, strict=True))


@pytest.mark.parametrize("clicks", [[NEW], [OTHER], []])
@pytest.mark.parametrize("with_events", [False, True])
def test_clicks_move_the_score_of_an_item_that_arrived_as_by_hand(
    clicks: list[str], with_events: bool, tmp_path: Path
) -> None:
    async def scenario(call: Caller, by_hand: Recommender) -> None:
        request_id, before = await show(call)
        assert before == score_by_hand(by_hand)
        assert await tell(call, request_id, clicks) == 200
        _, after = await show(call)
        assert (after[NEW] > before[NEW]) == (NEW in clicks)
        assert after[NEW] != before[NEW]
        do_by_hand(by_hand, list(before), clicks)
        assert after == score_by_hand(by_hand)
        assert await taken_in(call) == 1

    served(scenario, events=EventLog(tmp_path) if with_events else None)


def test_feedback_counts_once_and_strange_feedback_not_at_all() -> None:
    async def scenario(call: Caller, _: Recommender) -> None:
        request_id, _ = await show(call)
        assert await tell(call, request_id, [IDS[7]]) == 422  # not shown
        assert await tell(call, request_id, [NEW]) == 200
        _, after = await show(call)
        assert await tell(call, request_id, [NEW]) == 404
        assert await tell(call, "unheard of", []) == 404
        assert (await show(call))[1] == after
        assert await taken_in(call) == 1

    served(scenario)


def test_feedback_after_a_change_and_going_back_counts_for_what_is_still_there() -> None:
    async def scenario(call: Caller, by_hand: Recommender) -> None:
        request_id, before = await show(call)
        item = new_item()
        body = {
            "version_before": by_hand.version,
            "release": [IDS[3]],
            "new": [{name: value for name, value in vars(item).items() if value is not None}],
        }
        status, told = await call("POST", "/catalogue", body, token=TOKEN)
        assert status == 200, told
        assert await tell(call, request_id, [NEW]) == 200
        changed = follow(by_hand, AskedChange(by_hand.version, release=[IDS[3]], new=[item]))
        do_by_hand(changed, list(before), [NEW])
        _, after = await show(call)
        assert after == score_by_hand(changed)
        assert after[NEW] > before[NEW]

        _, answer = await call("POST", "/recommend", {"history": ["film 13"], "n": 12})
        assert (await call("POST", "/catalogue/rollback", token=TOKEN))[0] == 200
        assert (await show(call))[1] == after
        # of this slate the item that nobody has any more says nothing
        assert await tell(call, answer["request_id"], ["film 13"]) == 200
        assert (await show(call))[1][NEW] < after[NEW]
        assert (await taken_in(call), await taken_in(call, "failed")) == (2, 0)

    served(scenario)


def test_no_show_is_lost_when_versions_swap_under_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click_intake, "SECONDS_TO_GATHER", 0.005)
    expected: list[float] = []
    observe_shows = ArrivalStatistics.observe

    def noted(self: ArrivalStatistics, items: Any, clicks: Any, predicted: Any) -> None:
        observe_shows(self, items, clicks, predicted)
        expected.append(float((predicted * (1.0 - predicted))[items == 10].sum()))
        last.append(self)

    last: list[ArrivalStatistics] = []
    monkeypatch.setattr(ArrivalStatistics, "observe", noted)

    async def scenario(call: Caller, _: Recommender) -> None:
        told, going = 0, True

        async def visit() -> None:
            nonlocal told
            while going:
                request_id, _ = await show(call)
                body = {"request_id": request_id, "clicks": [NEW]}
                assert (await call("POST", "/feedback", body))[0] == 200
                told += 1

        visitors = [asyncio.create_task(visit()) for _ in range(4)]
        for turn in range(12):
            version = (await call("GET", "/catalogue"))[1]["catalogue_version"]
            if turn % 2 == 0:
                field = "release" if turn % 4 == 0 else "add"
                change = ("/catalogue", {"version_before": version, field: [IDS[4]]})
                assert (await call("POST", *change, token=TOKEN))[0] == 200
            else:  # back and forth
                for _ in range(2):
                    assert (await call("POST", "/catalogue/rollback", token=TOKEN))[0] == 200
            await asyncio.sleep(0.02)
        going = False
        await asyncio.gather(*visitors)
        await asyncio.sleep(0.1)
        assert await taken_in(call) == told > 20
        assert len({id(one) for one in last}) > 2
        assert float(last[-1].information[10]) == pytest.approx(sum(expected), rel=1e-4)

    served(scenario)


def test_a_policy_that_does_not_follow_clicks_is_as_before(tmp_path: Path) -> None:
    async def with_events(call: Caller, _: Recommender) -> None:
        request_id, before = await show(call)
        assert await tell(call, request_id, [NEW]) == 200
        assert (await show(call))[1] == before
        assert await taken_in(call) == 0

    async def without(call: Caller, _: Recommender) -> None:
        status, told = await call("POST", "/feedback", {"request_id": "any"})
        assert status == 404
        assert "--events" in told["error"] and "arrival_prior" in told["error"]

    served(with_events, arrival_prior=None, events=EventLog(tmp_path))
    served(without, arrival_prior=None)


class Taker:
    """Stands for the service: keeps what is taken in, fails if told."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.threads: set[str] = set()
        self.fails = False

    def take_in(self, slates: Sequence[ClickedSlate]) -> None:
        self.threads.add(threading.current_thread().name)
        if self.fails:
            raise ValueError("no")
        self.batches.append(len(slates))


def slate(n_items: int = 2) -> ShownSlate:
    return ShownSlate([f"film {item}" for item in range(n_items)], [], [], [], [])


def with_intake(
    scenario: Callable[[ClickIntake, Taker, dict[str, int]], Awaitable[None]],
    room: Room | None = None,
) -> None:
    async def run() -> None:
        taker, outcomes = Taker(), dict[str, int]()

        def count(outcome: str, amount: int) -> None:
            outcomes[outcome] = outcomes.get(outcome, 0) + amount

        batcher = Batcher(lambda _: None)
        service: Any = taker
        intake = ClickIntake(service, batcher, count, room)
        await scenario(intake, taker, outcomes)
        await intake.stop()
        batcher.close()

    asyncio.run(run())


def test_what_comes_in_together_is_taken_in_together_on_the_thread_that_answers() -> None:
    async def scenario(intake: ClickIntake, taker: Taker, outcomes: dict[str, int]) -> None:
        for number in range(70):
            intake.served(str(number), slate())
        assert all(intake.clicked(str(number), []) for number in range(70))
        await asyncio.sleep(3 * click_intake.SECONDS_TO_GATHER)
        assert taker.batches == [64, 6]
        assert {name.rsplit("_", 1)[0] for name in taker.threads} == {"recommend"}
        assert outcomes == {"taken_in": 70}

    with_intake(scenario)


def test_a_failure_is_counted_and_the_next_feedback_is_taken_in() -> None:
    async def scenario(intake: ClickIntake, taker: Taker, outcomes: dict[str, int]) -> None:
        for number, taker.fails in enumerate((True, False)):
            intake.served(str(number), slate())
            intake.clicked(str(number), [])
            await asyncio.sleep(3 * click_intake.SECONDS_TO_GATHER)
        assert outcomes == {"failed": 1, "taken_in": 1}

    with_intake(scenario)


@pytest.mark.parametrize(
    ("room", "kept"),
    [
        (Room(slates=2), ["2", "3"]),
        (Room(ids=5), ["2", "3"]),
        (Room(ids=1), []),
        (Room(seconds=0.0), []),
        (Room(), ["0", "1", "2", "3"]),
    ],
)
def test_slates_without_feedback_give_way(room: Room, kept: list[str]) -> None:
    async def scenario(intake: ClickIntake, taker: Taker, outcomes: dict[str, int]) -> None:
        for number in range(4):
            intake.served(str(number), slate())
        names = [str(number) for number in range(4)]
        assert [name for name in names if intake.items_of(name) is not None] == kept
        assert [name for name in names if intake.clicked(name, [])] == kept

    with_intake(scenario, room)


def test_feedback_beyond_what_may_wait_is_passed_over_and_counted() -> None:
    async def scenario(intake: ClickIntake, taker: Taker, outcomes: dict[str, int]) -> None:
        for number in range(4):
            intake.served(str(number), slate())
            assert intake.clicked(str(number), [])
        await asyncio.sleep(3 * click_intake.SECONDS_TO_GATHER)
        assert outcomes == {"passed_over": 1, "taken_in": 3}

    with_intake(scenario, Room(clicked=3))
