import logging
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hsrl_pipeline.agents.base import UpdateStats
from hsrl_pipeline.config.agents.a2c import A2CSettings
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.training.checkpoint_store import FileCheckpointStore
from hsrl_pipeline.training.trainer import Trainer

from .conftest import StopHere, stop_at

CPU = torch.device("cpu")


def train(parts, config, *, on_metrics=None, checkpoints=None, **options):
    agent, sessions, log = parts
    trainer = Trainer(agent, config, seed=0, device=CPU, sessions=sessions, log=log, **options)
    history = trainer.run(on_metrics, checkpoints)
    return agent.policy_state(), history


def assert_equal_weights(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_curves_hold_what_the_issue_asks_for(parts, config):
    points = []
    _, history = train(parts(), config(), on_metrics=lambda step, row: points.append((step, row)))
    assert history["iteration"].tolist() == [5, 10, 15, 20, 25, 30]
    assert [step for step, _ in points] == history["iteration"].tolist()
    wanted = {
        "train_reward", "train_depth", "step_reward", "coverage", "effective_items",
        "clicks_per_slot", "critic_loss", "actor_loss", "cloning_loss", "entropy_level_1",
        "entropy_level_2", "level_weight_0", "level_weight_1", "level_weight_2",
        "gradient_norm_actor", "gradient_norm_critic", "value_error", "advantage_std",
    }  # fmt: skip
    assert wanted <= set(history.columns)
    assert history["level_weight_0"].nunique() > 1
    weights = history[["level_weight_0", "level_weight_1", "level_weight_2"]].sum(axis=1)
    np.testing.assert_allclose(weights, 1.0, atol=1e-5)


def test_equal_seeds_give_equal_weights_and_curves_and_others_do_not(parts, config):
    first, first_history = train(parts(), config())
    torch.manual_seed(123)
    second, second_history = train(parts(), config())
    other, _ = train(parts(seed=1), config())
    assert_equal_weights(first, second)
    pd.testing.assert_frame_equal(first_history, second_history)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_training_leaves_the_global_random_state_alone(parts, config):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    train(parts(), config(n_iterations=3))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("stop", [10, 15, 25])
def test_interrupted_run_resumes_to_the_same_end(parts, config, tmp_path, stop):
    unbroken, unbroken_history = train(parts(), config())
    store = FileCheckpointStore(tmp_path / "run" / "checkpoint.pt")
    with pytest.raises(StopHere):
        train(parts(), config(), checkpoints=store, on_metrics=stop_at(stop))
    resumed, history = train(parts(), config(resume=True), checkpoints=store)
    assert_equal_weights(unbroken, resumed)
    pd.testing.assert_frame_equal(unbroken_history, history)


def test_resume_goes_on_past_the_end_of_a_finished_run(parts, config, tmp_path):
    unbroken, _ = train(parts(), config(n_iterations=30))
    store = FileCheckpointStore(tmp_path / "checkpoint.pt")
    train(parts(), config(n_iterations=20), checkpoints=store)
    resumed, history = train(parts(), config(resume=True), checkpoints=store)
    assert_equal_weights(unbroken, resumed)
    again, same = train(parts(), config(resume=True), checkpoints=store)
    assert_equal_weights(again, resumed)
    pd.testing.assert_frame_equal(same, history)


def test_resume_without_checkpoint_starts_from_the_beginning(parts, config, tmp_path):
    store = FileCheckpointStore(tmp_path / "checkpoint.pt")
    resumed, _ = train(parts(), config(resume=True), checkpoints=store)
    assert_equal_weights(resumed, train(parts(), config())[0])


def test_a_new_run_forgets_the_checkpoint_of_an_earlier_one(parts, config, tmp_path):
    store = FileCheckpointStore(tmp_path / "checkpoint.pt")
    train(parts(), config(), checkpoints=store)
    with pytest.raises(StopHere):
        train(parts(), config(), checkpoints=store, on_metrics=stop_at(5))
    assert store.load() is None


def test_resume_with_other_settings_is_refused(parts, config, tmp_path):
    store = FileCheckpointStore(tmp_path / "checkpoint.pt")
    train(parts(), config(n_iterations=10), checkpoints=store, identity={"codebook": "a"})
    named = r'codebook \(was "a", is "b"\), training\.batch_size \(was 8, is 16\)'
    with pytest.raises(UserError, match=named):
        train(
            parts(),
            config(resume=True, batch_size=16),
            checkpoints=store,
            identity={"codebook": "b"},
        )


def test_step_sizes_fall_in_a_straight_line(parts, config):
    agent, sessions, log = parts()
    shares = []

    class Watched:
        def __getattr__(self, name):
            return getattr(agent, name)

        def scale_learning_rates(self, share):
            shares.append(share)
            agent.scale_learning_rates(share)

    train((Watched(), sessions, log), config(n_iterations=4, final_learning_rate_share=0.2))
    np.testing.assert_allclose(shares, [1.0, 0.8, 0.6, 0.4])
    shares.clear()
    train((Watched(), sessions, log), config(n_iterations=4))
    assert shares == []


def test_falling_step_sizes_resume_within_the_same_length_alone(parts, config, tmp_path):
    falling = config(final_learning_rate_share=0.0)
    unbroken, _ = train(parts(), falling)
    constant, _ = train(parts(), config())
    assert any(not torch.equal(unbroken[name], constant[name]) for name in unbroken)
    store = FileCheckpointStore(tmp_path / "checkpoint.pt")
    with pytest.raises(StopHere):
        train(parts(), falling, checkpoints=store, on_metrics=stop_at(15))
    again = falling.model_copy(update={"resume": True})
    resumed, _ = train(parts(), again, checkpoints=store)
    assert_equal_weights(unbroken, resumed)
    for name, value in (("n_iterations", 60), ("final_learning_rate_share", 1.0)):
        with pytest.raises(UserError, match=rf"training\.{name} \(was .*, is {value}\)"):
            train(parts(), again.model_copy(update={name: value}), checkpoints=store)


@pytest.mark.slow
def test_killed_process_resumes_to_the_same_end(parts, config, tmp_path):
    path = tmp_path / "checkpoint.pt"
    script = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
import conftest, torch
from hsrl_pipeline.training.checkpoint_store import FileCheckpointStore
from hsrl_pipeline.training.trainer import Trainer
agent, sessions, log = conftest.make_parts()
trainer = Trainer(agent, conftest.make_config(n_iterations=100000), seed=0,
                  device=torch.device("cpu"), sessions=sessions, log=log)
trainer.run(checkpoints=FileCheckpointStore({str(path)!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 60
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    store = FileCheckpointStore(path)
    reached = store.load()["iteration"]
    assert reached % 10 == 0
    total = reached + 15
    resumed, history = train(parts(), config(n_iterations=total, resume=True), checkpoints=store)
    unbroken, unbroken_history = train(parts(), config(n_iterations=total))
    assert_equal_weights(unbroken, resumed)
    pd.testing.assert_frame_equal(unbroken_history, history)


class BreaksDown:
    """Wraps an agent so that its loss or its weights stop being numbers."""

    def __init__(self, agent, at, what):
        self._agent, self._at, self._what, self._count = agent, at, what, 0

    def __getattr__(self, name):
        return getattr(self._agent, name)

    def update(self, batch, log, bootstrap=None):
        stats = self._agent.update(batch, log, bootstrap)
        self._count += 1
        if self._count < self._at:
            return stats
        if self._what == "loss":
            return UpdateStats({**stats.losses, "actor_loss": torch.tensor(torch.nan)})
        with torch.no_grad():
            next(iter(self._agent._policy.parameters())).fill_(torch.inf)
        return UpdateStats({"actor_loss": torch.tensor(0.0)})


@pytest.mark.parametrize(("what", "named"), [("loss", "actor_loss"), ("weight", "weight ")])
def test_not_a_number_stops_and_keeps_the_last_good_checkpoint(
    parts, config, tmp_path, what, named
):
    agent, sessions, log = parts()
    store = FileCheckpointStore(tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match=named) as caught:
        train((BreaksDown(agent, 20, what), sessions, log), config(), checkpoints=store)
    assert "learning_rate" in caught.value.remedy
    assert store.load()["iteration"] == 10


def test_collapse_is_warned_of_once(parts, config, caplog):
    agent, sessions, log = parts()

    class AlwaysTheSame:
        def __init__(self, agent):
            self._agent = agent

        def __getattr__(self, name):
            return getattr(self._agent, name)

        def twin(self):
            return AlwaysTheSame(self._agent.twin())

        def act(self, observation, *, explore, generator=None):
            action = self._agent.act(observation, explore=explore, generator=generator)
            return action._replace(slates=torch.tensor([[1, 2]]).repeat(4, 1))

    with caplog.at_level(logging.WARNING):
        train((AlwaysTheSame(agent), sessions, log), config())
    messages = [record.message for record in caplog.records if "collapses" in record.message]
    assert len(messages) == 1
    assert "amounts to 2 items" in messages[0]


class FromLog:
    """Learns nothing, from the log alone."""

    name, experience, latent_size, uses_log = "from_log", "log", 0, True
    log_batch_size = 3

    def __init__(self):
        self.seen = []

    def update(self, batch, log, bootstrap=None):
        assert batch is None
        self.seen.append(log.slates)
        return UpdateStats({"loss": torch.tensor(1.0)})

    def state_dict(self):
        return {}

    def policy_state(self):
        return {}


def test_agents_of_the_log_run_through_the_same_loop_without_sessions(parts, config):
    agent = FromLog()
    _, _, log = parts()
    history = Trainer(agent, config(n_iterations=10), seed=0, device=CPU, log=log).run()
    assert history["loss"].tolist() == [1.0, 1.0]
    assert "train_reward" not in history
    assert [tuple(slates.shape) for slates in agent.seen] == [(3, 2)] * 10


def test_the_log_is_drawn_from_only_while_the_agent_uses_it(parts, config):
    settings = HsrlSettings(warm_start_iterations=3, log_batch_size=8)
    agent, sessions, log = parts(name="hsrl", settings=settings)
    given = []

    class Watched:
        def __getattr__(self, name):
            return getattr(agent, name)

        def update(self, batch, logged, bootstrap=None):
            given.append(logged is not None)
            return agent.update(batch, logged, bootstrap)

    draws = []
    sample = log.sample
    log.sample = lambda size: draws.append(size) or sample(size)
    train((Watched(), sessions, log), config(n_iterations=5))
    assert given == [True, True, True, False, False]
    assert draws == [8, 8, 8]


@pytest.mark.parametrize(("batch_size", "kept"), [(8, 4), (10, 6), (3, 0)])
def test_fresh_agents_get_the_newest_transitions_in_order(parts, config, batch_size, kept):
    agent, sessions, log = parts()
    seen = []

    class Fresh:
        experience = "fresh"

        def __getattr__(self, name):
            return getattr(agent, name)

        def update(self, batch, log, bootstrap=None):
            seen.append(batch)
            return agent.update(batch, log, bootstrap)

    train((Fresh(), sessions, log), config(n_iterations=4, fresh_batch_size=batch_size))
    for earlier, later in pairwise(seen):
        assert len(later.slates) == batch_size
        assert torch.equal(earlier.slates[batch_size - kept :], later.slates[:kept])


def test_sessions_are_acted_in_by_the_weights_before_the_present_update(parts, config):
    agent, sessions, log = parts()
    acted, before = [], []

    class Watched:
        def __init__(self, agent, kept):
            self._agent, self._kept = agent, kept

        def __getattr__(self, name):
            return getattr(self._agent, name)

        def twin(self):
            return Watched(self._agent.twin(), acted)

        def act(self, observation, *, explore, generator=None):
            acted.append(self._agent.policy_state())
            return self._agent.act(observation, explore=explore, generator=generator)

        def update(self, batch, log, bootstrap=None):
            before.append(self._agent.policy_state())
            assert torch.equal(bootstrap.td_target, self._values(batch, len(before)))
            return self._agent.update(batch, log, bootstrap)

        def _values(self, batch, number):
            # the first batch was valued by the untrained agent, the others one update ago
            older = parts()[0].twin()
            older.copy_weights_of(self.past[max(0, number - 2)])
            return older.bootstrap(batch).td_target

    watched = Watched(agent, before)
    watched.past = [agent.twin()]
    update = Watched.update

    def keep(self, batch, log, bootstrap=None):
        stats = update(self, batch, log, bootstrap)
        self.past.append(self._agent.twin())
        return stats

    Watched.update = keep
    train((watched, sessions, log), config(n_iterations=4, warmup_transitions=8))
    assert len(before) == 4
    assert_equal_weights(acted[0], before[0])  # warm-up
    for state, own in zip(acted[2:], before, strict=True):
        assert_equal_weights(state, own)


@pytest.mark.parametrize(("name", "settings"), [("hsrl_paper", None), ("a2c", A2CSettings())])
def test_a_second_thread_changes_nothing_but_the_time(parts, config, name, settings):
    ends = []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        ends.append(train(parts(name=name, settings=settings), config()))
    torch.set_num_threads(before)
    assert_equal_weights(ends[0][0], ends[1][0])
    pd.testing.assert_frame_equal(ends[0][1], ends[1][1])


def test_an_error_beside_the_update_is_raised(parts, config):
    agent, sessions, log = parts(response=FailsLater())
    with pytest.raises(RuntimeError, match="no answer"):
        train((agent, sessions, log), config())


class FailsLater:
    def __init__(self):
        self._count = 0

    def probabilities(self, observation, slates):
        self._count += 1
        if self._count > 10:
            raise RuntimeError("no answer")
        return torch.full(slates.shape, 0.5)


def test_what_an_agent_needs_must_be_given(parts, config):
    agent, sessions, log = parts()
    with pytest.raises(ValueError, match="learns from sessions"):
        Trainer(agent, config(), seed=0, device=CPU, log=log)
    with pytest.raises(ValueError, match="learns from logged slates"):
        Trainer(agent, config(), seed=0, device=CPU, sessions=sessions)
