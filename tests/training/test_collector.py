import copy

import pytest
import torch

from hsrl_pipeline.config.agents.a2c import A2CSettings
from hsrl_pipeline.training.collector import Collector

CPU = torch.device("cpu")
SESSIONS = 4


@pytest.fixture
def make_collector(parts):
    def make(name, batch_size):
        settings = A2CSettings() if name == "a2c" else None
        agent, sessions, _ = parts(name=name, settings=settings)
        collector = Collector(
            agent, sessions, batch_size=batch_size, buffer_size=64, seed=0, device=CPU
        )
        return collector, sessions

    return make


def test_a_replaying_agent_keeps_the_whole_buffer(make_collector):
    collector, _ = make_collector("hsrl_paper", 8)
    collector.warm_up(10)
    assert collector.buffer.capacity == 64
    assert len(collector.buffer) == 12


@pytest.mark.parametrize(("batch_size", "kept"), [(4, 4), (8, 8), (2, SESSIONS)])
def test_an_agent_of_fresh_transitions_keeps_no_more_than_it_reads(
    make_collector, batch_size, kept
):
    collector, sessions = make_collector("a2c", batch_size)
    collector.warm_up(20)
    assert len(collector.buffer) == collector.buffer.capacity == kept
    shown = sessions.observation
    collector.advance()
    newest = collector.experience.batch.observation
    rows = min(batch_size, SESSIONS)
    assert torch.equal(newest.history[-rows:], shown.history[-rows:])
    assert torch.equal(newest.step[-rows:], shown.step[-rows:])


def test_a_replaying_agent_draws_from_all_that_is_kept(make_collector):
    collector, _ = make_collector("hsrl_paper", 8)
    collector.warm_up(60)
    drawn = collector.experience.batch
    assert len(drawn.slates) == 8
    assert not torch.equal(drawn.slates, collector.buffer.newest(8).slates)
    assert collector.experience.batch is drawn


@pytest.mark.parametrize("name", ["hsrl_paper", "a2c"])
def test_a_collector_goes_on_where_its_state_was_taken(make_collector, parts, name):
    unbroken, _ = make_collector(name, 8)
    unbroken.warm_up(20)
    state = copy.deepcopy(unbroken.state_dict())
    resumed, _ = make_collector(name, 8)
    resumed.warm_up(9)
    agent, _, _ = parts(name=name, settings=A2CSettings() if name == "a2c" else None)
    resumed.load_state_dict(state, agent)
    assert torch.equal(*(each.experience.batch.slates for each in (unbroken, resumed)))
    for collector in (unbroken, resumed):
        collector.advance()
    batches = [each.experience.batch for each in (unbroken, resumed)]
    assert torch.equal(batches[0].slates, batches[1].slates)
    assert torch.equal(batches[0].observation.history, batches[1].observation.history)


@pytest.mark.parametrize("name", ["hsrl_paper", "a2c"])
def test_warming_up_acts_in_whole_steps_until_enough_were_stored(make_collector, name):
    collector, sessions = make_collector(name, 8)
    other, acted = make_collector(name, 8)
    collector.warm_up(9)
    for _ in range(3):
        other.warm_up(1)
    assert torch.equal(sessions.observation.history, acted.observation.history)
    assert torch.equal(sessions.observation.step, acted.observation.step)
