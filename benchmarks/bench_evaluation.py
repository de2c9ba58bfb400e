"""Time to judge one agent on two simulators at the size of ML-1M, in both regimes.

3,706 items, 4,000 sessions of nine steps on each simulator, beam of 64: as many steps as policies
reach on ML-1M. References are not part of it, because later agents reuse their sessions. Nothing is
read from disk; weights are random, which costs the same as trained ones.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from benchmarks.bench_training import (
    HISTORY,
    SMALL,
    make_context,
    make_log,
    make_response,
    make_users,
)
from benchmarks.report import BenchmarkLine
from hsrl_pipeline.agents.hsrl import build_hsrl
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting, evaluate_policy
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.user_pool import UserPool

SESSIONS, STEPS, SIMULATORS = 4_000, 9, 2
BARS = {"repeats": 25.0, "no_repeats": 40.0}
"""Seconds on two cores."""


def run() -> list[BenchmarkLine]:
    """Return seconds against the bars, and what leaving shown items out costs."""
    rng = np.random.default_rng(0)
    context = make_context(rng, SMALL)
    agent = build_hsrl(HsrlSettings(), context)
    response = make_response(SMALL)
    setting = EvaluationSetting(
        pool=UserPool.from_log(make_log(rng, SMALL), make_users(rng), HISTORY),
        sessions=SessionSetting(
            # patience that never ends, so that every session has as many steps
            session=SessionConfig(horizon=STEPS, initial_patience=1e6),
            reward=RewardConfig(),
            candidates=CandidatesConfig(),
            slate_size=context.slate_size,
            n_items=SMALL,
        ),
        item_vectors=context.item_vectors,
        n_episodes=SESSIONS,
    )
    seconds, lines = {}, []
    for regime, bar in BARS.items():
        rules = CandidatesConfig(exclude_shown=regime == "no_repeats")
        own = replace(setting, sessions=replace(setting.sessions, candidates=rules))
        started = time.perf_counter()
        for _ in range(SIMULATORS):
            evaluate_policy(agent, response, own)
        seconds[regime] = time.perf_counter() - started
        lines.append(
            BenchmarkLine(
                f"evaluation.hsrl.{SIMULATORS * SESSIONS}_sessions.{regime}",
                seconds[regime],
                "s",
                f"at most {bar:.0f} s on 2 cores; here {torch.get_num_threads()} threads",
                seconds[regime] / bar,
            )
        )
    lines.append(
        BenchmarkLine(
            "evaluation.hsrl.no_repeats",
            seconds["no_repeats"],
            "s",
            f"with repeats {seconds['repeats']:.3g} s, bar 1.6",
            seconds["no_repeats"] / seconds["repeats"],
        )
    )
    return lines
