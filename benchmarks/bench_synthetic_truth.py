"""Share of what is personal in the synthetic world that Psi_train finds, judged by true users.

The default world and the default simulator, seed 0, as in a plain ``kedro run``. The share is the
way of ``greedy_train_simulator`` from ``static_slate`` to greedy on the truth, in the same
sessions.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.report import BenchmarkLine
from hsrl_pipeline.agents.slate_selection import SlateSelector
from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.config.simulator import SimulatorConfig
from hsrl_pipeline.data.slate_log import ItemTable, SlateLog, UserTable
from hsrl_pipeline.data.sources.synthetic import make_population
from hsrl_pipeline.data.tables.ingest import build_tables, land_log
from hsrl_pipeline.evaluation.kept_rollouts import NOTHING_KEPT, KeptRollouts
from hsrl_pipeline.evaluation.references import GreedyPolicy, fit_static_slate
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting
from hsrl_pipeline.evaluation.truth_check import roll_out_on_truth, share_found
from hsrl_pipeline.simulator.response.checkpoint import build_response_model
from hsrl_pipeline.simulator.response.simulators import fit_simulator
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.user_pool import UserPool

SEED, SESSIONS, RESAMPLES = 0, 2_000, 2_000
BAR = 0.8


def run() -> list[BenchmarkLine]:
    """Return the share found, with its interval over sessions."""
    config = IngestionConfig(source="synthetic")
    session = SessionConfig()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables = build_tables(folder, land_log(folder, folder, config, SEED), config, "synthetic")
        log = SlateLog.from_frames(pd.read_parquet(tables.slates), pd.read_parquet(tables.timeline))
    users = UserTable.from_frame(tables.users, tables.info)
    items = ItemTable.from_frame(tables.items, tables.info)
    truth = make_population(config.synthetic, SEED)[0].aligned(tables.users, tables.items)
    simulator = build_response_model(
        fit_simulator(
            "train",
            log,
            users,
            items,
            SimulatorConfig(),
            history_size=session.history_size,
            seed=SEED,
            on_metrics=lambda epoch, figures: None,
        )
    )
    selector = SlateSelector(items.n_items, config.slate_size)
    pool = partial(UserPool.from_log, users=users, history_size=session.history_size)
    setting = EvaluationSetting(
        pool=pool(log.test),
        sessions=SessionSetting(
            session=session,
            reward=RewardConfig(),
            candidates=CandidatesConfig(),
            slate_size=config.slate_size,
            n_items=items.n_items,
        ),
        item_vectors=np.zeros((items.n_items + 1, 1), dtype=np.float32),
        n_episodes=SESSIONS,
    )
    static = fit_static_slate(simulator, selector, replace(setting, pool=pool(log.train), seed=1))
    greedy = GreedyPolicy("greedy_train_simulator", selector, simulator)
    records = roll_out_on_truth(
        {policy.name: partial(lambda own: own, policy) for policy in (static, greedy)},
        truth,
        selector,
        setting,
        KeptRollouts(NOTHING_KEPT, (), "nothing"),
    )
    share, low, high = share_found(records, static.name, greedy.name, RESAMPLES, SEED)
    earned = ", ".join(f"{name} {own.total_reward.mean():.2f}" for name, own in records.items())
    return [
        BenchmarkLine(
            "synthetic_truth.share_found",
            share,
            f"[{low:.3f}, {high:.3f}]",
            f"at least {BAR}; true users pay {earned}",
            share / BAR,
        )
    ]
