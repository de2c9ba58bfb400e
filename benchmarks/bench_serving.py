"""Time per answer, throughput of batches, and swaps of the catalogue under load.

A policy of default settings with random weights, histories of 50 items, slates of 10. Times are
those of one thread, in process: reading the request, one forward pass, the answer in the user's own
ids. The load goes through the whole application, without a port: six clients that each ask about 20
times a second, for as long with swaps as without. Every swap releases ten items.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.bench_training import HISTORY, SMALL, make_context
from benchmarks.report import BenchmarkLine
from hsrl_pipeline.agents.base import AgentContext
from hsrl_pipeline.agents.hsrl import build_hsrl
from hsrl_pipeline.agents.policy_checkpoint import describe_policy
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.serving.app import create_app
from hsrl_pipeline.serving.recommender import Recommender
from hsrl_pipeline.serving.requests import RecommendRequest
from hsrl_pipeline.serving.served_model import ServedModel, everything_live
from hsrl_pipeline.serving.user_features import NumberScale, UserEncoder

LARGE = 1_000_000
CANDIDATES, SLATE, BATCH = 1000, 10, 64
ANSWERS = 300
CLIENTS, SWAPS, SECONDS, PAUSE = 6, 100, 30.0, 0.05
BARS = {"candidates": 5.0, "small": 10.0, "large": 30.0}
"""Milliseconds at the 99th percentile."""

LEAST_GAIN, MOST_SLOWER = 5.0, 2.0


def make_recommender(n_items: int) -> Recommender:
    """Return a recommender of random weights over a random catalogue."""
    context: AgentContext = make_context(np.random.default_rng(0), n_items)
    settings = HsrlSettings()
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


def p99_of(answer: Callable[[RecommendRequest], object], requests: list[RecommendRequest]) -> float:
    """Return the 99th percentile of the time of an answer, in milliseconds."""
    times = []
    for request in requests:
        started = time.perf_counter()
        answer(request)
        times.append(time.perf_counter() - started)
    return float(np.percentile(times, 99)) * 1e3


def run() -> list[BenchmarkLine]:
    """Return the figures against their bars."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [*_times(), *asyncio.run(_under_load())]
    finally:
        torch.set_num_threads(threads)


def _times() -> list[BenchmarkLine]:
    small = make_recommender(SMALL)
    small.warm_up()
    searching = make_requests(SMALL, ANSWERS)
    figures = {
        "candidates": p99_of(small.recommend, make_requests(SMALL, ANSWERS, CANDIDATES)),
        "small": p99_of(small.recommend, searching),
    }
    gain = _gain(small, searching)
    large = make_recommender(LARGE)
    large.warm_up()
    figures["large"] = p99_of(large.recommend, make_requests(LARGE, ANSWERS))
    names = {
        "candidates": f"serving.score_{CANDIDATES}_candidates_p99",
        "small": f"serving.search_{SMALL}_items_p99",
        "large": f"serving.search_{LARGE}_items_p99",
    }
    lines = [
        BenchmarkLine(names[key], value, "ms", f"bar {BARS[key]:g} ms", value / BARS[key])
        for key, value in figures.items()
    ]
    reference = f"one by one in the same run, bar {LEAST_GAIN:g}"
    lines.append(
        BenchmarkLine(f"serving.throughput_of_batches_of_{BATCH}", gain, "times", reference)
    )
    return lines


def _gain(recommender: Recommender, requests: list[RecommendRequest]) -> float:
    """Return how many times more requests a second batches answer than one by one."""
    some = requests[: 4 * BATCH]
    started = time.perf_counter()
    for request in some:
        recommender.recommend(request)
    alone = time.perf_counter() - started
    started = time.perf_counter()
    for start in range(0, len(some), BATCH):
        recommender.answer_all(some[start : start + BATCH])
    return alone / (time.perf_counter() - started)


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
