import math

import numpy as np
import pytest
import torch

from hsrl_pipeline.agents.base import AgentContext
from hsrl_pipeline.agents.registry import build_agent
from hsrl_pipeline.config.agents.hsrl_paper import HsrlPaperSettings
from hsrl_pipeline.config.agents.shared import EncoderConfig
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.config.training import TrainingConfig
from hsrl_pipeline.data.slate_log import SlateLog, UserTable
from hsrl_pipeline.simulator.response.constant import ConstantResponse
from hsrl_pipeline.simulator.response.ensemble import EnsembleResponse
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.simulator.user_pool import UserPool
from hsrl_pipeline.training.log_sampler import LogSampler

N_ITEMS, SLATE, HISTORY, N_USERS = 12, 2, 5, 6
CPU = torch.device("cpu")


class TasteResponse:
    """Items 1 to 3 are liked by everyone, the others by almost nobody."""

    def probabilities(self, observation, slates):
        return torch.where(slates <= 3, 0.9, 0.05)


def make_log(n_rows=20):
    rng = np.random.default_rng(0)
    return SlateLog(
        slates=np.stack([rng.permutation(N_ITEMS)[:SLATE] + 1 for _ in range(n_rows)]).astype("i4"),
        labels=rng.integers(0, 2, (n_rows, SLATE)).astype("i1"),
        users=rng.integers(1, N_USERS + 1, n_rows).astype("i4"),
        timestamps=np.arange(n_rows),
        is_train=np.ones(n_rows, bool),
        history_start=np.zeros(n_rows, "i8"),
        history_end=rng.integers(0, 9, n_rows),
        timeline=rng.integers(1, N_ITEMS + 1, 10).astype("i4"),
    )


def make_users():
    categories = np.zeros((N_USERS + 1, 1), "i8")
    categories[1:, 0] = np.arange(N_USERS) % 2 + 1
    return UserTable(categories, np.zeros((N_USERS + 1, 0), "f4"), (3,))


def make_context(seed=0):
    rng = np.random.default_rng(1)
    codes = np.array([[-1, -1]] + [[item % 4, item // 4] for item in range(N_ITEMS)])
    vectors = rng.normal(size=(N_ITEMS + 1, 4)).astype("f4")
    vectors[0] = 0.0
    return AgentContext(
        N_ITEMS, SLATE, HISTORY, (3,), 0, 20, vectors, codes.astype("i8"), (4, 3), CPU, seed
    )


ENCODER = EncoderConfig(embedding_size=8, n_layers=1, n_heads=2, feedforward_size=8, dropout=0.1)


def make_ensemble():
    """Two members that agree on items up to 6, and say 0.1 and 0.5 of the others."""
    members = [ConstantResponse(0.6, N_ITEMS, HISTORY) for _ in range(2)]
    for member, probability in zip(members, (0.1, 0.5), strict=True):
        member.log_odds[7:] = math.log(probability / (1 - probability))
    return EnsembleResponse(members).freeze()


def make_parts(
    seed=0, settings=None, response=None, name="hsrl_paper", context=None, *, measure=False
):
    """Return agent, sessions and log sampler of one small run."""
    settings = settings or HsrlPaperSettings(encoder=ENCODER, cloning_batch_size=8)
    log, users = make_log(), make_users()
    sessions = SlateSessions(
        response or TasteResponse(),
        UserPool.from_log(log, users, HISTORY),
        SessionSetting(
            session=SessionConfig(history_size=HISTORY, initial_patience=6.0),
            reward=RewardConfig(),
            candidates=CandidatesConfig(),
            slate_size=SLATE,
            n_items=N_ITEMS,
        ),
        batch_size=4,
        seed=seed,
        measure_disagreement=measure,
    )
    agent = build_agent(name, settings, context or make_context(seed))
    return agent, sessions, LogSampler(log, users, sessions.setting.session, seed)


def make_config(**values):
    small = {
        "n_iterations": 30,
        "acting_batch_size": 4,
        "batch_size": 8,
        "buffer_size": 64,
        "warmup_transitions": 10,
        "metrics_every": 5,
        "checkpoint_every": 10,
        "device": "cpu",
    }
    return TrainingConfig(**{**small, **values})


class StopHere(Exception):
    """Raised to end a training early."""


def stop_at(iteration):
    """Return what ends a training with ``StopHere`` at its first point from an iteration on."""

    def on_metrics(step, figures):
        if step >= iteration:
            raise StopHere

    return on_metrics


@pytest.fixture
def parts():
    return make_parts


@pytest.fixture
def ensemble():
    return make_ensemble()


@pytest.fixture
def config():
    return make_config


@pytest.fixture
def log():
    return make_log()


@pytest.fixture
def users():
    return make_users()
