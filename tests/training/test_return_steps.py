"""Training on returns over several steps."""

from __future__ import annotations

import pytest
import torch

from hsrl_pipeline.config.agents.a2c import A2CSettings
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.config.agents.pg_ra import PGRASettings
from hsrl_pipeline.training.checkpoint_store import FileCheckpointStore
from hsrl_pipeline.training.collector import Collector

from .conftest import CPU, ENCODER, StopHere, stop_at
from .test_catalogue_changes import CHANGES, assert_equal_trees, launch_context
from .test_catalogue_changes import train as run_training

SESSIONS, STEPS = 4, 3
SETTINGS = {
    "hsrl": HsrlSettings(encoder=ENCODER, warm_start_iterations=12),
    "a2c": A2CSettings(encoder=ENCODER),
    "pg_ra": PGRASettings(encoder=ENCODER),
}


@pytest.fixture
def train(parts, config):
    def run(name, *, checkpoints=None, on_metrics=None, catalogues=None, **values):
        context = launch_context() if catalogues else None
        made = parts(name=name, settings=SETTINGS[name], context=context)
        values = {"fresh_batch_size": SESSIONS, "return_steps": STEPS, **values}
        agent, history = run_training(
            made,
            config(**values),
            checkpoints=checkpoints,
            on_metrics=on_metrics,
            catalogues=catalogues,
        )
        return agent.state_dict(), history

    return run


def make_collector(parts, name="hsrl", **values):
    agent, sessions, _ = parts(name=name, settings=SETTINGS.get(name))
    return sessions, Collector(
        agent, sessions, batch_size=SESSIONS, buffer_size=64, seed=0, device=CPU, **values
    )


def test_an_update_learns_from_the_step_before_the_last_ones(parts) -> None:
    sessions, collector = make_collector(parts, return_steps=STEPS)
    # one transition would be one step: a target needs three
    collector.warm_up(1)
    acted_on = []
    for _ in range(6):
        acted_on.append(sessions.observation)
        collector.advance()
    # the update after these advances learns from the step two back, and so did those before it
    batch = collector.experience.batch
    assert torch.equal(batch.observation.history, acted_on[-STEPS].history)
    assert torch.equal(batch.observation.step, acted_on[-STEPS].step)
    assert len(collector.buffer) == 0


def test_next_observations_are_valued_once_for_each_step(parts) -> None:
    _, collector = make_collector(parts, return_steps=STEPS)
    valued = []
    value = collector._twin.bootstrap

    def watched(batch):
        valued.append(batch)
        return value(batch)

    collector._twin.bootstrap = watched
    collector.warm_up(40)
    assert collector.experience is not None
    assert len(valued) == STEPS
    for _ in range(5):
        collector.advance()
    assert len(valued) == STEPS + 5
    assert all(len(batch.reward) == SESSIONS for batch in valued)


def test_without_decay_the_target_is_the_one_step_target_of_the_older_step(parts) -> None:
    _, collector = make_collector(parts, return_steps=STEPS, return_decay=0.0)
    _, one_step = make_collector(parts)
    for made in (collector, one_step):
        made.warm_up(40)
    # the same weights and draws: two steps on, the window has come to where the other one is
    expected = one_step.experience
    for _ in range(STEPS - 1):
        collector.advance()
    found = collector.experience
    assert torch.equal(found.batch.slates, expected.batch.slates)
    assert torch.equal(found.bootstrap.td_target, expected.bootstrap.td_target)
    assert torch.equal(found.bootstrap.next_state, expected.bootstrap.next_state)


def test_returns_over_steps_change_what_is_learned_and_one_step_is_as_before(train) -> None:
    before, history = train("a2c", return_steps=1)
    same, again = train("a2c", return_steps=1, return_decay=0.5)
    assert_equal_trees(before, same)
    assert history.equals(again)
    ends = [before, train("a2c")[0], train("a2c", return_decay=0.5)[0]]
    weights = [
        torch.cat([part.flatten().float() for part in end["networks"].values()]) for end in ends
    ]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_interrupted_run_resumes_to_the_same_end(train, tmp_path, name) -> None:
    unbroken, history = train(name, return_decay=0.7)
    for stop in (10, 15):
        store = FileCheckpointStore(tmp_path / f"run{stop}.pt")
        with pytest.raises(StopHere):
            train(name, return_decay=0.7, checkpoints=store, on_metrics=stop_at(stop))
        resumed, again = train(name, return_decay=0.7, resume=True, checkpoints=store)
        assert_equal_trees(unbroken, resumed)
        assert history.equals(again)


@pytest.mark.parametrize("stop", [15, 20])
def test_a_change_of_the_catalogue_in_the_window_resumes_to_the_same_end(
    train, tmp_path, stop
) -> None:
    unbroken, history = train("hsrl", catalogues=CHANGES)
    store = FileCheckpointStore(tmp_path / "run.pt")
    with pytest.raises(StopHere):
        train("hsrl", catalogues=CHANGES, checkpoints=store, on_metrics=stop_at(stop))
    resumed, again = train("hsrl", catalogues=CHANGES, resume=True, checkpoints=store)
    assert_equal_trees(unbroken, resumed)
    assert history.equals(again)
    assert unbroken["catalogue_version"] == CHANGES[22].version


def test_an_agent_that_replays_knows_no_steps_in_a_row(parts) -> None:
    with pytest.raises(ValueError, match="hsrl_paper knows no steps in a row"):
        make_collector(parts, "hsrl_paper", return_steps=2)
