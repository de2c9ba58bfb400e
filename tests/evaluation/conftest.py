"""A small world whose click probabilities are known, shared by the tests of evaluation."""

import numpy as np
import pytest
import torch

from hsrl_pipeline.agents.base import Action
from hsrl_pipeline.agents.slate_selection import SlateSelector
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.user_pool import UserPool

N_ITEMS = 12
SLATE = 3
HISTORY = 4
N_USERS = 20


class TableResponse(UserResponseModel):
    """Click log-odds from a (user category, item) table, less for items clicked before."""

    def __init__(self, log_odds, boredom=0.0):
        super().__init__()
        self.n_items = N_ITEMS
        self.history_size = HISTORY
        self.table = torch.as_tensor(log_odds, dtype=torch.float32)
        self.boredom = boredom
        self.freeze()

    def logits(self, user_categories, user_dense, history, slates):
        seen = (history[:, :, None] == slates[:, None, :]).any(dim=1)
        return self.table[user_categories, slates] - self.boredom * seen

    def scores_all(self, observation):
        items = torch.arange(N_ITEMS + 1).expand(observation.batch_size, -1)
        scores = self.logits(*observation[:3], items)
        return scores.index_fill(1, torch.tensor([0]), -torch.inf)


class FixedPolicy:
    """The same slate for everyone; remembers the observations it was given."""

    name = "fixed"

    def __init__(self, slate):
        self.slate = torch.tensor(slate)
        self.seen = []

    def act(self, observation, *, explore, generator=None):
        assert not explore
        self.seen.append(observation)
        slates = self.slate.expand(observation.batch_size, -1).contiguous()
        return Action(slates, torch.zeros(len(slates), 0), torch.zeros(len(slates)))


def make_pool():
    """Users 1..20 of categories 1 and 2 in turn, histories of 0 to 4 items."""
    generator = torch.Generator().manual_seed(7)
    histories = torch.randint(1, N_ITEMS + 1, (N_USERS, HISTORY), generator=generator)
    histories[::2, :2] = 0
    categories = torch.arange(N_USERS)[:, None] % 2 + 1
    return UserPool.from_rows(categories, torch.zeros(N_USERS, 0), histories)


def make_setting(n_episodes=100, **changes):
    """Return a setting; ``changes`` are fields of it or of the sessions."""
    sessions = {
        "session": SessionConfig(horizon=20, history_size=HISTORY),
        "reward": RewardConfig(),
        "candidates": CandidatesConfig(),
        "slate_size": SLATE,
        "n_items": N_ITEMS,
        "shelves": None,
    }
    sessions |= {name: changes.pop(name) for name in sessions if name in changes}
    generator = np.random.default_rng(5)
    values = {
        "pool": make_pool(),
        "item_vectors": np.vstack([np.zeros(4), generator.normal(size=(N_ITEMS, 4))]),
        "n_episodes": n_episodes,
        "seed": 0,
        "batch_size": 512,
        "sessions": SessionSetting(**sessions),
    }
    return EvaluationSetting(**(values | changes))


def taste_table():
    """Category 1 likes items 1 to 6, category 2 items 7 to 12; item 6 and 7 please both."""
    table = torch.full((3, N_ITEMS + 1), -2.0)
    table[1, 1:7] = 1.0
    table[2, 7:] = 1.0
    table[1:, 6:8] = 0.6
    return table


@pytest.fixture
def selector():
    return SlateSelector(N_ITEMS, SLATE)
