"""The application over ASGI: answers, faults, and swaps of the catalogue under load."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.serving import Recommender, create_app

from .small_model import IDS, Caller, small_model, small_publisher, until_ready

TOKEN = "secret"
LIVE = [1, 2, 3, 5, 7, 9, 11, 12]


def served(
    scenario: Callable[[Caller], Awaitable[None]],
    token: str | None = TOKEN,
    **options: Any,
) -> None:
    """Run a scenario against an application that is ready."""
    model = small_model(live=LIVE, later=[10], publisher=small_publisher())
    app = create_app(Recommender(model), token=token, **options)

    async def run() -> None:
        async with app.router.lifespan_context(app):
            call = Caller(app)
            await until_ready(call)
            await scenario(call)

    asyncio.run(run())


async def version_of(call: Caller) -> str:
    return (await call("GET", "/catalogue"))[1]["catalogue_version"]


def test_an_answer_has_the_promised_fields() -> None:
    async def scenario(call: Caller) -> None:
        body = {"history": [IDS[1]], "user": {"age": 30}, "candidates": None, "exclude": [], "n": 3}
        status, answer = await call("POST", "/recommend", body)
        assert status == 200
        assert len(answer["items"]) == len(answer["scores"]) == len(answer["semantic_ids"]) == 3
        assert answer["catalogue_version"] == await version_of(call)
        assert answer["model"] == "small"
        assert set(answer["items"]) <= {IDS[item] for item in LIVE}

    served(scenario)


def test_health_ready_metrics_and_the_page() -> None:
    async def scenario(call: Caller) -> None:
        assert (await call("GET", "/health")) == (200, {"status": "ok"})
        await call("POST", "/recommend", {"history": ["who?"], "n": 2})
        await call("POST", "/recommend", {"n": 0})
        text = (await call("GET", "/metrics"))[1]
        for line in (
            'hsrl_requests_total{path="/recommend",status="200"} 1',
            'hsrl_requests_total{path="/recommend",status="422"} 1',
            "hsrl_illegal_items_total 0",
            "hsrl_unknown_history_ids_total 1",
            "hsrl_recommend_seconds_count 1",
            "hsrl_live_items 8",
        ):
            assert line in text.splitlines()
        status, page = await call("GET", "/docs")
        assert (status, "//" in page) == (200, False)  # nothing comes from another host
        paths = (await call("GET", "/openapi.json"))[1]["paths"]
        assert {"/recommend", "/catalogue", "/catalogue/rollback", "/health"} <= set(paths)

    served(scenario)


def test_ready_says_why_the_warm_up_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Recommender) -> None:
        raise ValueError("item vectors have 3 numbers, 4 are read")

    monkeypatch.setattr(Recommender, "warm_up", fail)
    app = create_app(Recommender(small_model()))

    async def run() -> None:
        async with app.router.lifespan_context(app):
            call = Caller(app)
            assert await call("GET", "/ready") == (
                503,
                {"field": "", "error": "the server is warming up"},
            )
            for _ in range(100):
                await asyncio.sleep(0.01)
                status, told = await call("GET", "/ready")
                if "failed" in told["error"]:
                    break
            assert status == 503
            assert "ValueError: item vectors have 3 numbers, 4 are read" in told["error"]
            assert "start it again" in told["error"]
            assert (await call("GET", "/health"))[0] == 200

    asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, "body"),
        (b"\xff\xfe", 400, "body"),
        (b"[" * 10_000, 400, "body"),
        (b'{"n":' + b"9" * 5000 + b"}", 400, "body"),
        (b"x" * 70_000, 413, "body"),
        ([1], 422, "body"),
        (b'{"user":{"age":NaN}}', 422, "user.age"),
        ({"n": "3"}, 422, "n"),
        ({"n": 2.5}, 422, "n"),
        ({"n": 10**30}, 422, "n"),
        ({"n": 9}, 422, "n"),
        ({"history": "film 1"}, 422, "history"),
        ({"history": []}, 422, "history"),
        ({"history": ["film 1"], "responses": [2]}, 422, "responses.0"),
        ({"history": ["film 1"], "responses": [1, 0]}, 422, "responses"),
        ({"candidates": [[1]]}, 422, "candidates.0"),
        ({"candidates": [True]}, 422, "candidates.0"),
        ({"candidates": ["\ud800"], "n": 1}, 422, "candidates.0"),
        ({"user": {"\ud800": 1}}, 422, "user.\ud800"),
        ({"user": {"country": {}}}, 422, "user.country"),
        ({"histroy": []}, 422, "histroy"),
        ({"user_id": "\ud800"}, 422, "user_id"),
    ],
)
def test_faults_are_answered_with_the_field(body: Any, status: int, field: str) -> None:
    async def scenario(call: Caller) -> None:
        answered, told = await call("POST", "/recommend", body)
        assert (answered, told["field"]) == (status, field)
        assert told["error"]
        assert (await call("POST", "/recommend", {"n": 2}))[0] == 200

    served(scenario, most_bytes=65_536)


def test_items_leave_arrive_and_come_back() -> None:
    async def scenario(call: Caller) -> None:
        first = await version_of(call)
        change = {"version_before": first, "add": [IDS[10], IDS[4]], "release": [IDS[1]]}
        status, told = await call("POST", "/catalogue", change, token=TOKEN)
        assert (status, told["version_before"], told["live_items"]) == (200, first, 9)
        _, answer = await call("POST", "/recommend", {"n": 9})
        assert {IDS[10], IDS[4]} <= set(answer["items"])
        assert IDS[1] not in answer["items"]
        assert answer["catalogue_version"] == told["catalogue_version"] != first
        assert (await call("POST", "/recommend", {"candidates": [IDS[1]], "n": 1}))[0] == 422
        status, back = await call("POST", "/catalogue/rollback", token=TOKEN)
        assert (status, back["catalogue_version"]) == (200, first)
        _, again = await call("POST", "/recommend", {"n": 8})
        assert IDS[1] in again["items"]
        swaps = (await call("GET", "/catalogue"))[1]["swaps"]
        assert [swap["kind"] for swap in swaps] == ["rollback", "change"]

    served(scenario)


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"version_before": "other"}, 409, "version_before"),
        ({"add": ["film 99"]}, 422, "add.0"),
        ({"add": [IDS[1]]}, 422, "add.0"),
        ({"release": [IDS[4]]}, 422, "release.0"),
        ({"release": [IDS[1], IDS[1]]}, 422, "release.1"),
        ({"release": [IDS[item] for item in LIVE[:-1]]}, 422, "release"),
    ],
)
def test_a_bad_change_leaves_the_old_version(
    change: dict[str, Any], status: int, field: str
) -> None:
    async def scenario(call: Caller) -> None:
        first = await version_of(call)
        body = {"version_before": first, **change}
        answered, told = await call("POST", "/catalogue", body, token=TOKEN)
        assert (answered, told["field"]) == (status, field)
        overview = (await call("GET", "/catalogue"))[1]
        assert overview["catalogue_version"] == first
        assert overview["swaps"][0]["refused"]
        assert (await call("POST", "/catalogue/rollback", token=TOKEN))[0] == 409
        assert (await call("POST", "/recommend", {"n": 8}))[0] == 200

    served(scenario)


def test_new_items_come_through_the_server() -> None:
    item = {"item_id": 13, "content": {"length": 90, "genre_love": 1}, "vector": [1, 0.5, -1]}

    async def scenario(call: Caller) -> None:
        body = {"version_before": await version_of(call), "new": [item]}
        status, told = await call("POST", "/catalogue", body, token=TOKEN)
        assert (status, told["live_items"]) == (200, len(LIVE) + 1)
        _, answer = await call("POST", "/recommend", {"history": [13], "n": len(LIVE) + 1})
        assert "13" in answer["items"]
        for wrong, field in (
            ({"vector": [1, 0.5]}, "new.0.vector"),
            ({"vector": [1, "x", 2]}, "new.0.vector.1"),
            ({"content": {"length": True}}, "new.0.content.length"),
            ({"content": {}}, "new.0.content.length"),
            ({"item_id": "13"}, "new.0.item_id"),
            ({"colour": "red"}, "new.0.colour"),
        ):
            version = await version_of(call)
            body = {"version_before": version, "new": [{**item, "item_id": 14, **wrong}]}
            status, told = await call("POST", "/catalogue", body, token=TOKEN)
            assert (status, told["field"]) == (422, field)
            assert await version_of(call) == version
        await call("POST", "/catalogue/rollback", token=TOKEN)
        _, answer = await call("POST", "/recommend", {"n": len(LIVE)})
        assert "13" not in answer["items"]

    served(scenario)


def test_administrative_calls_need_the_token() -> None:
    async def refused(call: Caller, token: str | None, status: int) -> None:
        body = {"version_before": await version_of(call), "release": [IDS[1]]}
        assert (await call("POST", "/catalogue", body, token=token))[0] == status
        assert (await call("POST", "/catalogue/rollback", token=token))[0] == status

    async def guarded(call: Caller) -> None:
        await refused(call, None, 401)
        await refused(call, "wrong", 401)

    async def off(call: Caller) -> None:
        await refused(call, "", 403)
        await refused(call, TOKEN, 403)

    served(guarded)
    served(off, token=None)


def test_refusals_carry_the_headers_that_http_asks_for() -> None:
    async def scenario(call: Caller) -> None:
        assert (await call("TRACE", "/recommend"))[0] == 405
        assert call.headers[b"allow"] == b"POST"
        body = {"version_before": "any"}
        assert (await call("POST", "/catalogue", body, token="wrong"))[0] == 401
        assert call.headers[b"www-authenticate"] == b"Bearer"

    served(scenario)


def test_swaps_under_load_lose_no_request_and_show_no_released_item() -> None:
    async def scenario(call: Caller) -> None:
        released: set[str] = set()
        answers = 0
        going = True

        async def ask() -> None:
            nonlocal answers
            while going:
                gone = set(released)  # acknowledged before the request was made
                status, answer = await call("POST", "/recommend", {"n": 5})
                assert status == 200
                assert not gone & set(answer["items"]) - added_again
                answers += 1

        added_again: set[str] = set()
        askers = [asyncio.create_task(ask()) for _ in range(8)]
        for turn in range(10):
            item = IDS[LIVE[turn % 3]]
            version = await version_of(call)
            status, _ = await call(
                "POST", "/catalogue", {"version_before": version, "release": [item]}, token=TOKEN
            )
            assert status == 200
            added_again.discard(item)
            released.add(item)
            await asyncio.sleep(0.02)
            version = await version_of(call)
            added_again.add(item)
            released.discard(item)
            status, _ = await call(
                "POST", "/catalogue", {"version_before": version, "add": [item]}, token=TOKEN
            )
            assert status == 200
        going = False
        await asyncio.gather(*askers)
        assert answers > 20

    served(scenario)


def test_requests_that_wait_together_are_answered_together() -> None:
    async def scenario(call: Caller) -> None:
        await asyncio.gather(*(call("POST", "/recommend", {"n": 2}) for _ in range(40)))
        text = (await call("GET", "/metrics"))[1]
        (batches,) = (
            int(line.split()[-1])
            for line in text.splitlines()
            if line.startswith("hsrl_batch_size_count")
        )
        assert batches < 10

    served(scenario)


def json_values() -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    leaves |= st.sampled_from(IDS)
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["age", "country", "x"]), inner, max_size=3)
        ),
        max_leaves=5,
    )


def bodies(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Bodies with the fields of a schema, each good or anything at all, and bodies of any kind."""
    good = {
        "history": st.lists(st.sampled_from(IDS), max_size=4),
        "candidates": st.none() | st.lists(st.sampled_from(IDS), max_size=4),
        "exclude": st.lists(st.sampled_from(IDS), max_size=4),
        "responses": st.none() | st.lists(st.integers(0, 1), max_size=4),
        "n": st.integers(-1, 14),
        "user": st.fixed_dictionaries({}, optional={"age": st.floats(), "country": st.text()}),
        "user_id": st.text(max_size=5),
        "add": st.lists(st.sampled_from(IDS), max_size=2),
        "release": st.lists(st.sampled_from(IDS), max_size=2),
        "clicks": st.lists(st.sampled_from(IDS), max_size=2),
        "new": st.lists(
            st.fixed_dictionaries(
                {"item_id": st.sampled_from(IDS) | st.text(max_size=3)},
                optional={
                    "title": st.text(max_size=3),
                    "content": st.dictionaries(
                        st.sampled_from(["length", "genre_war"]), st.floats() | st.none()
                    ),
                    "vector": st.lists(st.floats(), min_size=2, max_size=3),
                    "price": st.floats(),
                },
            ),
            max_size=2,
        ),
        "version_before": st.just("now") | st.text(max_size=5),
        "request_id": st.text(max_size=5),
    }
    fields = {name: good[name] | json_values() for name in schema["properties"]}
    return st.fixed_dictionaries({}, optional=fields) | json_values()


def test_nothing_in_the_schema_ends_in_a_fault_of_the_server() -> None:
    model = small_model(live=LIVE, publisher=small_publisher())
    app = create_app(Recommender(model), token=TOKEN)
    document = app.openapi()
    schemas = document["components"]["schemas"]
    calls = []
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            content = told.get("requestBody", {}).get("content", {})
            reference = content.get("application/json", {}).get("schema", {}).get("$ref")
            body = bodies(schemas[reference.split("/")[-1]]) if reference else st.none()
            calls.append(st.tuples(st.just(method.upper()), st.just(path), body))
    weighted = st.one_of(*calls, *(call for call in calls[:1] for _ in range(6)))
    loop = asyncio.new_event_loop()
    call = Caller(app)
    statuses: dict[int, int] = {}

    @settings(max_examples=300, deadline=None)
    @given(weighted, st.sampled_from([None, TOKEN]))
    def fuzz(asked: tuple[str, str, Any], token: str | None) -> None:
        method, path, body = asked
        if isinstance(body, dict) and body.get("version_before") == "now":
            body = {**body, "version_before": loop.run_until_complete(version_of(call))}
        raw = None if body is None else json.dumps(body).encode()
        status, told = loop.run_until_complete(call(method, path, raw, token=token))
        # nothing warms the application up here, and without events there is no feedback
        assert status < 500 or (path, status) == ("/ready", 503)
        if 400 <= status < 500:
            assert set(told) == {"field", "error"}
        statuses[status] = statuses.get(status, 0) + 1

    try:
        fuzz()
    finally:
        loop.close()
    assert {200, 422} <= set(statuses)
