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


@pytest.mark.parametrize("name", ["hsrl_paper", "a2c"])
def test_warming_up_acts_in_whole_steps_until_enough_were_stored(make_collector, name):
    collector, sessions = make_collector(name, 8)
    other, acted = make_collector(name, 8)
    collector.warm_up(9)
    for _ in range(3):
        other.warm_up(1)
    assert torch.equal(sessions.observation.history, acted.observation.history)
    assert torch.equal(sessions.observation.step, acted.observation.step)
