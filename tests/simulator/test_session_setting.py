from __future__ import annotations

import numpy as np
import pytest
import torch

from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.simulator.session_setting import SessionSetting

N_ITEMS = 6


def test_shelves_that_do_not_bind_slates_are_no_part_of_the_setting() -> None:
    shelves = np.array([0, *[1, 2] * (N_ITEMS // 2)])
    free, bound = (
        SessionSetting(
            SessionConfig(),
            RewardConfig(),
            CandidatesConfig(enforce_shelves=enforced),
            slate_size=2,
            n_items=N_ITEMS,
            shelves=shelves,
        )
        for enforced in (False, True)
    )
    assert free.shelves is None
    assert bound.shelves is shelves
    slates = torch.tensor([[2, 1]])  # shelf 2, then shelf 1
    nothing_shown = torch.zeros(1, 0, dtype=torch.int64)
    free.candidate_rules().check(slates, nothing_shown)
    with pytest.raises(ValueError, match="not of the slot's shelf"):
        bound.candidate_rules().check(slates, nothing_shown)


def test_nothing_counts_as_shown_before_a_session_unless_said() -> None:
    setting = SessionSetting(
        SessionConfig(horizon=3),
        RewardConfig(),
        CandidatesConfig(exclude_shown=True),
        slate_size=2,
        n_items=N_ITEMS,
    )
    setting.candidate_rules()
    with pytest.raises(UserError, match="6 different items from a set of 5"):
        setting.candidate_rules(1)
