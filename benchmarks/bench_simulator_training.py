"""Time to fit both simulators to a log of MovieLens-1M's size, and to answer for a catalogue.

Nothing is read from disk: users, items and clicks are drawn at random with the sizes of the real
log, and early stopping is off, so that the whole schedule is timed.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import torch
import yaml

from benchmarks.report import BenchmarkLine
from hsrl_pipeline.config.simulator import SimulatorConfig
from hsrl_pipeline.data.slate_log import ItemTable, SlateLog, UserTable
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.response.checkpoint import build_response_model
from hsrl_pipeline.simulator.response.simulators import fit_simulator

N_SLATES, N_USERS, N_ITEMS, SLATE, HISTORY = 97_383, 6040, 3706, 10, 50
CATEGORY_SIZES, CONTENT_SIZE = (3, 8, 22, 11), 28
ALLOWED_SECONDS = 360.0
SETTINGS = Path("conf/ml1m/parameters_simulator_training.yml")
BATCH, ROUNDS = 1024, 9


def run() -> list[BenchmarkLine]:
    """Measure everything and return one line each."""
    log, users, items = make_log()
    settings = yaml.safe_load(SETTINGS.read_text())["simulator"]
    config = SimulatorConfig.model_validate({**settings, "patience": settings["max_epochs"]})
    checkpoints = []
    started = time.perf_counter()
    for role in ("train", "eval"):
        checkpoints.append(
            fit_simulator(
                role,
                log,
                users,
                items,
                config,
                history_size=HISTORY,
                seed=0,
                on_metrics=lambda epoch, figures: None,
            )
        )
    seconds = time.perf_counter() - started
    response = build_response_model(checkpoints[0])
    rows = np.arange(BATCH) % len(log)
    observation = Observation(
        torch.from_numpy(users.categories[log.users[rows]]),
        torch.from_numpy(users.dense[log.users[rows]]),
        torch.from_numpy(log.histories(rows, HISTORY)),
        torch.zeros(BATCH, dtype=torch.int64),
    )
    times = []
    with torch.inference_mode():
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            response.scores_all(observation)
            times.append(time.perf_counter() - begun)
    return [
        BenchmarkLine(
            "simulator_training_both",
            seconds,
            "s",
            f"at most {ALLOWED_SECONDS:.0f} s",
            seconds / ALLOWED_SECONDS,
        ),
        BenchmarkLine(
            "simulator_catalogue_scores",
            BATCH / statistics.median(times),
            "users/s",
            f"median of {ROUNDS} batches of {BATCH}, {N_ITEMS} items",
        ),
    ]


def make_log() -> tuple[SlateLog, UserTable, ItemTable]:
    """Return a random log with the sizes of the real one."""
    rng = np.random.default_rng(0)
    users = np.sort(rng.integers(1, N_USERS + 1, N_SLATES)).astype(np.int32)
    popularity = 1.0 / np.arange(1, N_ITEMS + 1) ** 0.8
    slates = 1 + rng.choice(N_ITEMS, (N_SLATES, SLATE), p=popularity / popularity.sum())
    labels = rng.random(slates.shape) < 0.58
    liked = labels.sum(axis=1).cumsum()
    order = rng.permutation(N_SLATES)
    log = SlateLog(
        slates=slates.astype(np.int32),
        labels=labels.astype(np.int8),
        users=users,
        timestamps=order.astype(np.int64),
        is_train=order < 0.8 * N_SLATES,
        history_start=np.maximum(liked - HISTORY, 0),
        history_end=liked,
        timeline=slates[labels].astype(np.int32),
    )
    categories = np.stack([rng.integers(0, size, N_USERS + 1) for size in CATEGORY_SIZES], axis=1)
    user_table = UserTable(categories, np.zeros((N_USERS + 1, 0), np.float32), CATEGORY_SIZES)
    names = np.arange(N_ITEMS + 1).astype(str).astype(object)
    item_table = ItemTable(
        content=rng.integers(0, 2, (N_ITEMS + 1, CONTENT_SIZE)).astype(np.float32),
        vectors=np.zeros((N_ITEMS + 1, 0), np.float32),
        shelves=None,
        special=None,
        titles=names,
        item_ids=names,
    )
    return log, user_table, item_table
