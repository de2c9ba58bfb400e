import logging
import math

import pytest
import torch

from hsrl_pipeline.config.agents.shared import EncoderConfig
from hsrl_pipeline.config.agents.sl import EarlyStoppingConfig, SupervisedSettings
from hsrl_pipeline.config.session import SessionConfig
from hsrl_pipeline.losses.supervised import click_loss
from hsrl_pipeline.training.checkpoint_store import FileCheckpointStore
from hsrl_pipeline.training.early_stopping import EarlyStopping
from hsrl_pipeline.training.log_sampler import LogSampler
from hsrl_pipeline.training.trainer import Trainer

SESSION = SessionConfig(history_size=5)
ENCODER = EncoderConfig(
    embedding_size=8, n_layers=1, n_heads=2, feedforward_size=8, dropout=0.1, use_step=False
)
SETTINGS = SupervisedSettings(
    encoder=ENCODER,
    learning_rate=0.05,
    weight_decay=0.0,
    log_batch_size=8,
    early_stopping=EarlyStoppingConfig(check_every=3, patience=2),
)


class Scripted:
    """Has the given losses, one per check, and weights that name the iteration."""

    name = "scripted"

    def __init__(self, losses, **config):
        self.early_stopping = EarlyStoppingConfig(**config)
        self._losses = iter(losses)
        self.weight = 0.0

    def held_out_loss(self, log):
        if len(log.slates) == 20:
            self._loss = next(self._losses)
        return torch.tensor(self._loss)

    def policy_state(self):
        return {"weight": torch.tensor(self.weight)}

    def load_policy_state(self, state):
        self.weight = float(state["weight"])


def run(stopping, agent, iterations):
    for iteration in range(1, iterations + 1):
        agent.weight = float(iteration)
        stopping.check(iteration)
        if stopping.finished:
            return iteration
    return None


def test_it_ends_after_as_many_checks_in_vain_and_gives_back_the_best(log, users, caplog):
    agent = Scripted([0.9, 0.5, 0.7, 0.5, 0.6], check_every=10, patience=3)
    stopping = EarlyStopping(agent, LogSampler(log, users, SESSION, 0))
    with caplog.at_level(logging.INFO):
        assert run(stopping, agent, 100) == 50
    assert "stops at iteration 50" in caplog.text and "lowest at 20 (0.5000)" in caplog.text
    stopping.restore()
    assert agent.weight == 20.0


def test_a_falling_loss_never_ends_it(log, users):
    agent = Scripted([0.9, 0.8, 0.7, 0.6], check_every=5, patience=1)
    stopping = EarlyStopping(agent, LogSampler(log, users, SESSION, 0))
    assert run(stopping, agent, 20) is None
    assert stopping.read() == {"held_out_loss": pytest.approx(0.6)}
    assert stopping.read() == {}


def test_a_restored_state_waits_no_longer_than_the_first_one(log, users):
    sampler = LogSampler(log, users, SESSION, 0)
    first = Scripted([0.5, 0.6, 0.7], check_every=10, patience=3)
    before = EarlyStopping(first, sampler)
    run(before, first, 30)
    second = Scripted([0.55], check_every=10, patience=3)
    after = EarlyStopping(second, sampler)
    after.load_state_dict(before.state_dict())
    assert not after.finished
    after.check(40)
    assert after.finished
    after.restore()
    assert second.weight == 10.0


def test_without_a_check_the_weights_stay(log, users):
    agent = Scripted([], check_every=50)
    stopping = EarlyStopping(agent, LogSampler(log, users, SESSION, 0))
    run(stopping, agent, 20)
    stopping.restore()
    assert agent.weight == 20.0


def test_the_loss_is_the_mean_over_all_held_out_slates(log, users, parts, monkeypatch):
    agent, _, sampler = parts(name="sl", settings=SETTINGS)
    whole = next(sampler.batches(len(sampler)))
    with torch.no_grad():
        logits = agent._actor.score_slates(agent._actor.encoder(whole.observation), whole.slates)
    expected = click_loss(logits, whole.clicks, whole.slates).item()
    monkeypatch.setattr("hsrl_pipeline.training.early_stopping.BATCH_SIZE", 7)
    stopping = EarlyStopping(agent, sampler)
    stopping.check(3)
    assert stopping.read()["held_out_loss"] == pytest.approx(expected, rel=1e-5)


@pytest.fixture
def held_out(log, users):
    return LogSampler(log.select(log.timestamps % 2 == 0), users, SESSION, 0)


def train(parts, config, held_out, **options):
    agent, _, sampler = parts(name="sl", settings=SETTINGS)
    trainer = Trainer(
        agent,
        config,
        seed=0,
        device=torch.device("cpu"),
        log=sampler,
        stopping=EarlyStopping(agent, held_out),
    )
    history = trainer.run(**options)
    return agent, history


def test_training_ends_early_with_the_best_weights(parts, config, held_out):
    long = config(n_iterations=2_000, metrics_every=3)
    agent, history = train(parts, long, held_out)
    losses = history.set_index("iteration")["held_out_loss"]
    assert losses.index[-1] < 2_000
    best = losses.idxmin()
    assert losses.index[-1] == best + 6
    kept = EarlyStopping(agent, held_out)
    kept.check(3)
    assert kept.read()["held_out_loss"] == pytest.approx(losses[best], rel=1e-6)


@pytest.mark.parametrize("stop", [4, 10])
def test_a_resumed_run_ends_as_the_unbroken_one(parts, config, held_out, tmp_path, stop):
    whole = config(n_iterations=2_000, checkpoint_every=2)
    unbroken, curves = train(parts, whole, held_out)
    store = FileCheckpointStore(tmp_path / "checkpoint.pt")
    train(parts, config(n_iterations=stop, checkpoint_every=2), held_out, checkpoints=store)
    again = config(n_iterations=2_000, checkpoint_every=2, resume=True)
    for _ in range(2):  # the second time it has ended already
        resumed, history = train(parts, again, held_out, checkpoints=store)
        for name, weight in unbroken.policy_state().items():
            assert torch.equal(weight, resumed.policy_state()[name]), name
    assert math.isclose(history["held_out_loss"].min(), curves["held_out_loss"].min())
