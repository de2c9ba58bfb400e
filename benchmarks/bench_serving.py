"""Time per answer, throughput of batches, and swaps of the catalogue under load.

A policy of default settings with random weights, histories of 50 items, slates of 10. Times are
processor time of one thread, in process: reading the request, one forward pass, the answer in the
user's own ids. The load goes through the whole application, without a port: six clients that each
ask about 20 times a second, for as long with swaps as without. Every swap releases ten items.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.bench_training import HISTORY, SMALL, make_context, some_threads
from benchmarks.report import BenchmarkLine
from benchmarks.serving_times import time_lines
from hsrl_pipeline.agents.base import AgentContext
from hsrl_pipeline.agents.hsrl import build_hsrl
from hsrl_pipeline.agents.policy_checkpoint import describe_policy
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.serving.app import create_app
from hsrl_pipeline.serving.recommender import Recommender
from hsrl_pipeline.serving.requests import RecommendRequest
from hsrl_pipeline.serving.served_model import ServedModel, everything_live
from hsrl_pipeline.serving.user_features import NumberScale, UserEncoder

SLATE, BATCH = 10, 64
CLIENTS, SWAPS, SECONDS, PAUSE = 6, 100, 30.0, 0.05
LEAST_GAIN, MOST_SLOWER = 5.0, 2.0


def make_recommender(of: int | AgentContext, **settings_given: Any) -> Recommender:
    """Return a recommender of random weights over a catalogue, or a random one of some items."""
    context = make_context(np.random.default_rng(0), of) if isinstance(of, int) else of
    n_items = context.n_items
    settings = HsrlSettings(**settings_given)
    policy = describe_policy(build_hsrl(settings, context), settings, context, {})
    catalogue = everything_live(context.item_vectors, context.codes)
    categories = {
        f"field_{number}": tuple(str(value) for value in range(1, size))
        for number, size in enumerate(context.category_sizes)
    }
    numbers = {f"number_{number}": NumberScale(0.0, 1.0) for number in range(context.n_dense)}
    return Recommender(
        ServedModel(
            policy=policy,
            name="benchmark",
            item_ids=("", *(str(item) for item in range(1, n_items + 1))),
            users=UserEncoder(categories, numbers),
            launch=catalogue,
            catalogue=catalogue,
            horizon=context.horizon,
        )
    )


def make_requests(n_items: int, count: int, candidates: int = 0) -> list[RecommendRequest]:
    """Return requests of different users."""
    rng = np.random.default_rng(1)
    requests = []
    for _ in range(count):
        history = rng.integers(1, n_items + 1, HISTORY).astype(str).tolist()
        given = None
        if candidates:
            given = (rng.permutation(n_items)[:candidates] + 1).astype(str).tolist()
        requests.append(RecommendRequest(history=history, candidates=given, n=SLATE))
    return requests


def run() -> Iterator[BenchmarkLine]:
    """Yield the figures against their bars."""
    with some_threads(1):
        yield from time_lines(make_recommender, make_requests)
        small = make_recommender(SMALL)
        small.warm_up()
        yield BenchmarkLine(
            f"serving.throughput_of_batches_of_{BATCH}",
            _gain(small, make_requests(SMALL, 4 * BATCH)),
            "times",
            f"one by one in the same run, bar {LEAST_GAIN:g}",
        )
        yield from asyncio.run(_under_load())


def _gain(recommender: Recommender, requests: list[RecommendRequest]) -> float:
    """Return how many times more requests a second batches answer than one by one."""
    started = time.process_time()
    for request in requests:
        recommender.recommend(request)
    alone = time.process_time() - started
    started = time.process_time()
    for start in range(0, len(requests), BATCH):
        recommender.answer_all(requests[start : start + BATCH])
    return alone / (time.process_time() - started)


class _Load:
    """Clients that ask one request after the other, and what they are told."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.times: list[float] = []
        self.failed = 0
        self.released_shown = 0
        self.released: set[str] = set()

    async def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        raw = json.dumps(body).encode()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "server": ("benchmark", 80),
            "client": ("benchmark", 1),
            "headers": [(b"content-type", b"application/json"), (b"authorization", b"Bearer t")],
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        return sent[0]["status"], json.loads(b"".join(part["body"] for part in sent[1:]))

    async def ask_until(self, end: float, bodies: list[dict[str, Any]]) -> None:
        turn = 0
        while time.perf_counter() < end:
            gone = set(self.released)
            started = time.perf_counter()
            status, answer = await self.post("/recommend", bodies[turn % len(bodies)])
            self.times.append(time.perf_counter() - started)
            self.failed += status != 200
            if status == 200:
                self.released_shown += len(gone & set(answer["items"]))
            turn += 1
            await asyncio.sleep(PAUSE)

    async def run(self, seconds: float, swap: Any = None) -> float:
        """Return the 99th percentile of the answers' times, in milliseconds."""
        bodies = [
            {"history": request.history, "n": request.n} for request in make_requests(SMALL, 50)
        ]
        self.times = []
        end = time.perf_counter() + seconds
        askers = [self.ask_until(end, bodies) for _ in range(CLIENTS)]
        await asyncio.gather(*askers, *([swap(end)] if swap else []))
        return float(np.percentile(self.times, 99)) * 1e3


async def _under_load() -> list[BenchmarkLine]:
    recommender = make_recommender(SMALL)
    app = create_app(recommender, token="t")
    load = _Load(app)
    done = 0

    async def swap(end: float) -> None:
        nonlocal done
        version = recommender.version
        rng = np.random.default_rng(2)
        order = iter((rng.permutation(SMALL) + 1).astype(str))
        for number in range(SWAPS):
            due = end - SECONDS * (1.0 - number / SWAPS)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            leaving = [next(order) for _ in range(10)]
            body = {"version_before": version, "release": leaving}
            status, told = await load.post("/catalogue", body)
            load.failed += status != 200
            if status == 200:
                version = told["catalogue_version"]
                load.released |= set(leaving)
                done += 1

    async with app.router.lifespan_context(app):
        await load.run(2.0)
        quiet = await load.run(SECONDS)
        asked = len(load.times)
        moving = await load.run(SECONDS, swap)
        asked += len(load.times)
    told = f"{done} swaps, {CLIENTS} clients, {asked} requests"
    return [
        BenchmarkLine("serving.failed_requests_under_swaps", load.failed, "requests", told),
        BenchmarkLine("serving.released_items_shown", load.released_shown, "items", told),
        BenchmarkLine(
            "serving.p99_with_swaps",
            moving,
            "ms",
            f"{quiet:.3g} ms without swaps, bar ratio {MOST_SLOWER:g}",
            moving / quiet,
        ),
    ]
