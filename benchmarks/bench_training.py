"""Cost of one HSRL training iteration at the paper's sizes, against its bare network arithmetic.

Acting batch 32, training batch 64, H = 50, d = 32, two layers, four heads, L = 3, V = 64, K = 10.
Nothing is read from disk; weights are random, which costs the same as trained ones.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.report import BenchmarkLine
from hsrl_pipeline.agents.base import AgentContext
from hsrl_pipeline.agents.hsrl import HsrlAgent, build_hsrl
from hsrl_pipeline.agents.hsrl_paper import HsrlPaperAgent, build_hsrl_paper
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.config.agents.hsrl_paper import HsrlPaperSettings
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.config.training import TrainingConfig
from hsrl_pipeline.data.slate_log import SlateLog, UserTable
from hsrl_pipeline.simulator.response.attention import AttentionResponse, ResponseSizes
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.simulator.user_pool import UserPool
from hsrl_pipeline.training.collector import Collector
from hsrl_pipeline.training.log_sampler import LogSampler
from hsrl_pipeline.training.side_thread import SideThread

ACTING, BATCH, HISTORY, SLATE, LEVELS, VOCAB = 32, 64, 50, 10, 3, 64
FIELD_SIZES, HORIZON = (3, 8, 22), 20
SMALL, LARGE = 3_706, 100_000
CPU = torch.device("cpu")
ITERATIONS, REPEATS = 12, 9
LONG_RUN, ALLOWED_MINUTES = 50_000, 30


class Iteration:
    """One agent with everything that a training iteration touches.

    Args:
        name: ``hsrl`` (after its warm start) or ``hsrl_paper``.
        n_items: Size of the catalogue.
        batch_size: Transitions per update.
        exclude_shown: Whether an item is shown once per session at most.
    """

    def __init__(
        self, name: str, n_items: int, batch_size: int = BATCH, *, exclude_shown: bool = False
    ) -> None:
        rng = np.random.default_rng(0)
        context = make_context(rng, n_items)
        self.agent: HsrlAgent | HsrlPaperAgent
        if name == "hsrl":
            self.agent = build_hsrl(HsrlSettings(warm_start_iterations=0), context)
        else:
            paper = HsrlPaperSettings()
            # a vector per item is a table of the catalogue, not a cost of the method
            encoder = paper.encoder.model_copy(
                update={"use_item_ids": False, "use_item_codes": True}
            )
            self.agent = build_hsrl_paper(paper.model_copy(update={"encoder": encoder}), context)
        log, users = make_log(rng, n_items), make_users(rng)
        self._response = make_response(n_items)
        sessions = SlateSessions(
            self._response,
            UserPool.from_log(log, users, HISTORY),
            SessionSetting(
                session=SessionConfig(),
                reward=RewardConfig(),
                candidates=CandidatesConfig(exclude_shown=exclude_shown),
                slate_size=SLATE,
                n_items=n_items,
            ),
            batch_size=ACTING,
            seed=0,
        )
        self._collector = Collector(
            self.agent, sessions, batch_size=batch_size, buffer_size=100_000, seed=0, device=CPU
        )
        self._collector.warm_up(2_000)
        self._log = LogSampler(log, users, sessions.setting.session, 0)
        self._preloaded = self._collector.buffer.sample(batch_size)
        self._acting = self._collector.buffer.newest(ACTING)
        self._logged = self._log.sample(self.agent.log_batch_size)

    def full(self) -> None:
        """Run iterations as the trainer does: act, step, store, draw, update, move the targets."""
        collector = self._collector
        with SideThread(CPU) as beside:
            for _ in range(ITERATIONS):
                experience = collector.experience
                collecting = beside.start(collector.advance)
                log = self._log.sample(self.agent.log_batch_size) if self.agent.uses_log else None
                self.agent.update(experience.batch, log, experience.bootstrap)
                collecting.result()
                collector.sync_weights(self.agent)

    def bare(self) -> None:
        """Run the networks of as many iterations on tensors that are there already."""
        observation, slates = self._acting.observation, self._acting.slates
        for _ in range(ITERATIONS):
            with torch.no_grad():
                state = self.agent._encoder(observation)
                if isinstance(self.agent, HsrlAgent):
                    self.agent._slates.likelihood(state, observation, slates)
                else:
                    self.agent._head(state)
                self._response.probabilities(observation, slates)
            self.agent.update(self._preloaded, self._logged if self.agent.uses_log else None)


def run() -> list[BenchmarkLine]:
    """Return cost against bare arithmetic, and growth with the catalogue."""
    lines = []
    for threads in (1, 2):
        with some_threads(threads):
            for name in ("hsrl", "hsrl_paper"):
                one = Iteration(name, SMALL)
                full, bare = _compare(one.full, one.bare)
                lines.append(
                    BenchmarkLine(
                        f"training.{name}.iteration.{threads}_threads",
                        full,
                        "ms",
                        f"bare network arithmetic {bare:.3g} ms, bar 1.3",
                        full / bare,
                    )
                )
                lines.append(_without_repeats(name, one, threads))
                if threads == 1:
                    lines += _growth(name, one)
        lines.append(_long_run(threads))
    return lines


def _without_repeats(name: str, repeats: Iteration, threads: int) -> BenchmarkLine:
    """Return what an iteration costs where an item is shown once per session at most."""
    once, often = _compare(Iteration(name, SMALL, exclude_shown=True).full, repeats.full)
    return BenchmarkLine(
        f"training.{name}.iteration.no_repeats.{threads}_threads",
        once,
        "ms",
        f"with repeats {often:.3g} ms, bar 1.3",
        once / often,
    )


def _long_run(threads: int) -> BenchmarkLine:
    """Return what the default run of ``hsrl`` would take for many iterations."""
    one = Iteration("hsrl", SMALL, TrainingConfig().fresh_batch_size)
    full, bare = _compare(one.full, one.bare)
    minutes = full * LONG_RUN / 60e3
    return BenchmarkLine(
        f"training.hsrl.{LONG_RUN}_iterations.{threads}_threads",
        minutes,
        "min",
        f"at most {ALLOWED_MINUTES} min on 2; {full:.3g} ms each, bare arithmetic {bare:.3g} ms",
        minutes / ALLOWED_MINUTES,
    )


def _growth(name: str, small: Iteration) -> list[BenchmarkLine]:
    """Return how time and working memory grow with the catalogue."""
    large = Iteration(name, LARGE)
    many, few = _compare(large.full, small.full)
    most, least = working_megabytes(large.full), working_megabytes(small.full)
    return [
        BenchmarkLine(
            f"training.{name}.iteration.100k_items",
            many,
            "ms",
            f"{SMALL} items {few:.3g} ms, bar 1.1",
            many / few,
        ),
        BenchmarkLine(
            f"training.{name}.working_memory.100k_items",
            most,
            "MB",
            f"{SMALL} items {least:.3g} MB, bar 1.1",
            most / least,
        ),
    ]


def working_megabytes(call: Callable[[], None]) -> float:
    """Return the most memory that tensors take during a call beyond those there before it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    changes = [event for event in events if event.get("name") == "[memory]"]
    changes.sort(key=lambda event: event["ts"])
    held = accumulate(event["args"]["Bytes"] for event in changes)
    return float(max(held)) / 1e6


def _compare(first: Callable[[], None], second: Callable[[], None]) -> tuple[float, float]:
    """Return median milliseconds per call of both, measured in turns."""
    for call in (first, second):
        _milliseconds(call)
    pairs = [(_milliseconds(first), _milliseconds(second)) for _ in range(REPEATS)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def _milliseconds(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) / ITERATIONS * 1e3


@contextmanager
def some_threads(count: int) -> Iterator[None]:
    """Let torch use so many threads for as long as the context lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def make_context(
    rng: np.random.Generator, n_items: int, vocab: int = VOCAB, n_levels: int = LEVELS
) -> AgentContext:
    """Return a catalogue of random codes and vectors."""
    codes = rng.integers(0, vocab, (n_items + 1, n_levels))
    codes[0] = -1
    vectors = rng.normal(size=(n_items + 1, 32)).astype(np.float32)
    vectors[0] = 0.0
    return AgentContext(
        n_items,
        SLATE,
        HISTORY,
        FIELD_SIZES,
        0,
        HORIZON,
        vectors,
        codes,
        (vocab,) * n_levels,
        CPU,
        0,
    )


def make_log(rng: np.random.Generator, n_items: int, rows: int = 4_000) -> SlateLog:
    """Return random slates of 1,000 users, with histories of 20 to 100 items."""
    return SlateLog(
        slates=np.stack(
            [rng.choice(n_items, SLATE, replace=False) + 1 for _ in range(rows)]
        ).astype(np.int32),
        labels=rng.integers(0, 2, (rows, SLATE)).astype(np.int8),
        users=rng.integers(1, 1_001, rows).astype(np.int32),
        timestamps=np.arange(rows),
        is_train=np.ones(rows, bool),
        history_start=np.arange(rows),
        history_end=np.arange(rows) + rng.integers(20, 100, rows),
        timeline=rng.integers(1, n_items + 1, rows + 100).astype(np.int32),
    )


def make_users(rng: np.random.Generator) -> UserTable:
    """Return 1,000 users with three random categories."""
    codes = np.stack([rng.integers(0, size, 1_001) for size in FIELD_SIZES], axis=1)
    return UserTable(codes.astype(np.int64), np.zeros((1_001, 0), np.float32), FIELD_SIZES)


def make_response(n_items: int) -> AttentionResponse:
    """Return a response model with random weights."""
    none = np.zeros(n_items + 1, np.int64)
    sizes = ResponseSizes(n_items, FIELD_SIZES, 0, 0, HISTORY, 32, 4)
    content = np.zeros((n_items + 1, 0), np.float32)
    return AttentionResponse(sizes, content, none, none).freeze()
