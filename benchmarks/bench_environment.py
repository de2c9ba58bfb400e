"""Speed and memory of the session environment and of evaluation, at the sizes of MovieLens-1M.

Nothing is read from disk: the response model and the policy have random weights, which cost the
same as trained ones.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import BenchmarkLine
from hsrl_pipeline.agents.base import AgentContext, Policy
from hsrl_pipeline.agents.registry import build_agent
from hsrl_pipeline.config.agent import AgentsConfig
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.data.slate_log import SlateLog, UserTable
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting, evaluate_policy
from hsrl_pipeline.simulator.response.attention import AttentionResponse, ResponseSizes
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.simulator.user_pool import UserPool

N_ITEMS, N_USERS, BATCH, SLATE = 3706, 6040, 1024, 10
CATEGORY_SIZES = (3, 8, 22)
CONTENT_SIZE, EMBED, HEADS, VECTOR_SIZE = 82, 32, 4, 64
VOCAB_SIZES = (64, 64, 64)
SESSION = SessionConfig()
SESSIONS = SessionSetting(SESSION, RewardConfig(), CandidatesConfig(), SLATE, N_ITEMS)
STEPS, ROUNDS = 20, 9
N_SESSIONS = 10_000


def run() -> list[BenchmarkLine]:
    """Measure everything and return one line each."""
    response = make_response()
    agents = [make_agent(name) for name in ("hsrl", "sl")]
    return [
        *throughput(response),
        *memory(response),
        *[evaluation_seconds(agent, response) for agent in agents],
        reproducibility(agents[0], response),
    ]


def make_response() -> AttentionResponse:
    """Return a response model of the default architecture with random weights."""
    rng = np.random.default_rng(0)
    sizes = ResponseSizes(
        N_ITEMS, CATEGORY_SIZES, 0, CONTENT_SIZE, SESSION.history_size, EMBED, HEADS
    )
    content = rng.normal(size=(N_ITEMS + 1, CONTENT_SIZE)).astype(np.float32)
    clicks = rng.integers(92, 99, N_ITEMS + 1)  # sessions of about 12 steps, as of good policies
    torch.manual_seed(0)
    return AttentionResponse(sizes, content, clicks, np.full(N_ITEMS + 1, 100)).freeze()


def make_pool(rows: int) -> UserPool:
    """Return a pool over an invented log of so many slates."""
    rng = np.random.default_rng(1)
    end = np.sort(rng.integers(0, rows * 5, rows))
    log = SlateLog(
        slates=np.zeros((rows, 1), np.int32),
        labels=np.zeros((rows, 1), np.int8),
        users=rng.integers(1, N_USERS + 1, rows, dtype=np.int32),
        timestamps=np.zeros(rows, np.int64),
        is_train=np.ones(rows, bool),
        history_start=np.maximum(end - rng.integers(0, 200, rows), 0),
        history_end=end,
        timeline=rng.integers(1, N_ITEMS + 1, rows * 5, dtype=np.int32),
    )
    sizes = np.array(CATEGORY_SIZES)
    users = UserTable(
        rng.integers(0, sizes, (N_USERS + 1, len(sizes))),
        np.zeros((N_USERS + 1, 0), np.float32),
        CATEGORY_SIZES,
    )
    return UserPool.from_log(log, users, SESSION.history_size)


def make_sessions(response: AttentionResponse, rows: int = 46_000) -> SlateSessions:
    """Return a batch of sessions with users of an invented log."""
    return SlateSessions(
        response,
        make_pool(rows),
        SESSIONS,
        batch_size=BATCH,
        seed=0,
    )


def make_agent(name: str) -> Policy:
    """Return an agent with random weights."""
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(N_ITEMS + 1, VECTOR_SIZE)).astype(np.float32)
    vectors[0] = 0.0
    unique = rng.choice(np.prod(VOCAB_SIZES), N_ITEMS, replace=False)
    codes = np.full((N_ITEMS + 1, len(VOCAB_SIZES)), -1)
    codes[1:] = np.stack(np.unravel_index(unique, VOCAB_SIZES), axis=1)
    context = AgentContext(
        n_items=N_ITEMS,
        slate_size=SLATE,
        history_size=SESSION.history_size,
        category_sizes=CATEGORY_SIZES,
        n_dense=0,
        horizon=SESSION.horizon,
        item_vectors=vectors,
        codes=codes,
        vocab_sizes=VOCAB_SIZES,
        device=torch.device("cpu"),
        seed=0,
    )
    return build_agent(name, getattr(AgentsConfig(), name), context)


def throughput(response: AttentionResponse) -> list[BenchmarkLine]:
    """Measure user-steps per second, and a step against the bare response model."""
    sessions = make_sessions(response)
    generator = torch.Generator().manual_seed(0)
    slates = [
        torch.rand(BATCH, N_ITEMS, generator=generator).topk(SLATE).indices + 1
        for _ in range(STEPS)
    ]

    def step_all() -> None:
        for slate in slates:
            sessions.step(slate)

    def forward_all() -> None:
        observation = sessions.observation
        with torch.no_grad():
            for slate in slates:
                response.probabilities(observation, slate)

    step_all()
    forward_all()
    # Alternating rounds meet the same disturbances; the median of their ratios is what counts.
    rounds = [(seconds(step_all), seconds(forward_all)) for _ in range(ROUNDS)]
    rate = BATCH * STEPS / statistics.median(step for step, _ in rounds)
    ratio = statistics.median(step / forward for step, forward in rounds)
    return [
        BenchmarkLine(
            "environment.user_steps", rate, "user-steps/s", "bar 20000 at least", rate / 20_000
        ),
        BenchmarkLine(
            "environment.step_over_response",
            ratio,
            "times the bare response model",
            "bar 1.3 at most",
            ratio / 1.3,
        ),
    ]


def memory(response: AttentionResponse) -> list[BenchmarkLine]:
    """Measure how much memory sampling takes from a small and from a large log."""
    lines = []
    for rows in (10_000, 1_000_000):
        sessions = make_sessions(response, rows)
        slates = torch.arange(1, SLATE + 1).expand(BATCH, -1).contiguous()
        for _ in range(20):
            sessions.step(slates)
        before = resident_megabytes()
        for _ in range(200):
            sessions.step(slates)
        grown = resident_megabytes() - before
        lines.append(
            BenchmarkLine(
                f"environment.growth_{rows}_rows",
                grown,
                "MB in 200 steps",
                "bar: no growth with the rows of the log, 20 at most",
                grown / 20,
            )
        )
    return lines


def evaluation_seconds(policy: Policy, response: AttentionResponse) -> BenchmarkLine:
    """Measure the evaluation of 10,000 sessions of an agent."""
    elapsed = seconds(lambda: evaluate(policy, response))
    return BenchmarkLine(
        f"evaluation.{policy.name}_{N_SESSIONS}_sessions",
        elapsed,
        "s",
        "bar 60 at most",
        elapsed / 60,
    )


def reproducibility(policy: Policy, response: AttentionResponse) -> BenchmarkLine:
    """Check that the same evaluation twice gives the same digits."""
    same = float(evaluate(policy, response, 2000) == evaluate(policy, response, 2000))
    return BenchmarkLine("evaluation.same_digits_twice", same, "1 is yes", "bar 1", same)


def evaluate(policy: Policy, response: AttentionResponse, n_episodes: int = N_SESSIONS) -> bytes:
    """Evaluate a policy and return its session rewards as bytes."""
    setting = EvaluationSetting(
        pool=make_pool(46_000),
        sessions=SESSIONS,
        item_vectors=np.random.default_rng(3)
        .normal(size=(N_ITEMS + 1, VECTOR_SIZE))
        .astype(np.float32),
        n_episodes=n_episodes,
    )
    return evaluate_policy(policy, response, setting).rewards.tobytes()


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def resident_megabytes() -> float:
    """Return the memory that the process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
