"""A small world for the tests of the Gymnasium environments."""

import numpy as np
import torch

from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.simulator.gym.env import SlateRecEnv, SlateRecVectorEnv
from hsrl_pipeline.simulator.gym.state_features import StateFeatures
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.simulator.user_pool import UserPool

N_ITEMS = 24
SLATE = 3
HISTORY = 6
CATEGORY_SIZES = (4,)
SHELVES = np.array([0, *[1] * 8, *[2] * 8, *[3] * 8])

CODES = np.full((N_ITEMS + 1, 2), -1)
CODES[1:] = [[(item - 1) // 6, (item - 1) % 6 // 2] for item in range(1, N_ITEMS + 1)]
VOCAB_SIZES = (4, 4)
"""Items 1 and 2 share code (0, 0), 3 and 4 (0, 1), ...; code (., 3) is nobody's."""


def item_vectors():
    vectors = np.random.default_rng(0).normal(size=(N_ITEMS + 1, 5)).astype(np.float32)
    vectors[0] = 0.0
    return vectors


class Taste:
    """Users of a category like the items whose first code is that category."""

    def probabilities(self, observation, slates):
        liked = torch.as_tensor(CODES[:, 0])[slates] == observation.user_categories
        return 0.05 + 0.85 * liked.to(torch.float32)


def make_pool(rows=60):
    generator = torch.Generator().manual_seed(3)
    histories = torch.randint(1, N_ITEMS + 1, (rows, HISTORY), generator=generator)
    histories[::3] = 0
    return UserPool.from_rows(
        torch.arange(rows)[:, None] % 4, torch.linspace(-1, 1, rows)[:, None], histories
    )


def make_sessions(batch_size=1, *, seed=0, response=None, shelves=None, exclude_shown=False):
    return SlateSessions(
        response or Taste(),
        make_pool(),
        SessionSetting(
            session=SessionConfig(horizon=8, history_size=HISTORY),
            reward=RewardConfig(),
            candidates=CandidatesConfig(
                exclude_shown=exclude_shown, enforce_shelves=shelves is not None
            ),
            slate_size=SLATE,
            n_items=N_ITEMS,
            shelves=shelves,
        ),
        batch_size=batch_size,
        seed=seed,
    )


def make_features():
    return StateFeatures(CATEGORY_SIZES, 1, item_vectors(), horizon=8)


def make_env(*, features=None, **options):
    return SlateRecEnv(make_sessions(**options), CATEGORY_SIZES, features)


def make_vector_env(batch_size=5, *, features=None, tensors=False, **options):
    sessions = make_sessions(batch_size, **options)
    return SlateRecVectorEnv(sessions, CATEGORY_SIZES, features, tensors=tensors)
