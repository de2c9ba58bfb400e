import numpy as np
import pytest
import torch

from hsrl_pipeline.config.session import SessionConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.training.log_sampler import LogSampler

SESSION = SessionConfig(history_size=5)


def test_batches_are_rows_of_the_log(log, users):
    batch = LogSampler(log, users, SESSION, seed=0).sample(64)
    rows = {tuple(slate): (tuple(label), i) for i, (slate, label) in
            enumerate(zip(log.slates.tolist(), log.labels.tolist(), strict=True))}  # fmt: skip
    assert batch.clicks.dtype == torch.float32 and batch.slates.dtype == torch.int64
    assert batch.observation.step.eq(0).all()
    histories = log.histories(np.arange(len(log)), 5)
    for slate, clicks, history in zip(
        batch.slates.tolist(), batch.clicks.tolist(), batch.observation.history, strict=True
    ):
        matches = np.flatnonzero((log.slates == slate).all(1))
        assert tuple(slate) in rows
        assert any(clicks == log.labels[row].tolist() for row in matches)
        assert any((history.numpy() == histories[row]).all() for row in matches)


def test_draws_follow_the_seed_and_can_be_resumed(log, users):
    first, second = LogSampler(log, users, SESSION, 0), LogSampler(log, users, SESSION, 1)
    first.sample(8)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.sample(8).slates, second.sample(8).slates)


def test_an_empty_log_is_refused(log, users):
    empty = log.select(np.zeros(len(log), bool))
    with pytest.raises(UserError, match="no logged slate"):
        LogSampler(empty, users, SESSION, 0)


def test_all_slates_once_in_order_and_without_a_draw(log, users):
    sampler, untouched = LogSampler(log, users, SESSION, 0), LogSampler(log, users, SESSION, 0)
    batches = list(sampler.batches(8))
    assert [len(batch.slates) for batch in batches] == [8, 8, 4]
    assert torch.cat([batch.slates for batch in batches]).tolist() == log.slates.tolist()
    assert torch.equal(sampler.sample(8).slates, untouched.sample(8).slates)
