import copy

import pytest
import torch

from hsrl_pipeline.config.agents.a2c import A2CSettings
from hsrl_pipeline.simulator.rewards import slate_reward
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


def collect(parts, response, *, measure=False, **options):
    """Return what an agent has kept after 12 steps of all sessions, and the sessions."""
    agent, sessions, _ = parts(response=response, measure=measure)
    collector = Collector(
        agent, sessions, batch_size=8, buffer_size=64, seed=0, device=CPU, **options
    )
    collector.warm_up(12 * SESSIONS)
    return collector.buffer.newest(12 * SESSIONS), sessions


def assert_reward_of_clicks(batch, sessions):
    rule = sessions.rules.reward
    expected = slate_reward(batch.clicks, rule.miss_penalty, rule.sweet_point)
    assert torch.equal(batch.reward, expected.to(torch.float32))


def test_expected_feedback_is_kept_as_probabilities_and_their_reward(parts, ensemble):
    drawn, one = collect(parts, ensemble)
    expected, other = collect(parts, ensemble, expected_feedback=True)
    assert set(drawn.clicks.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(expected.clicks, torch.where(expected.slates < 7, 0.6, 0.3))
    for batch, sessions in ((drawn, one), (expected, other)):
        assert_reward_of_clicks(batch, sessions)
    assert torch.equal(drawn.slates, expected.slates)
    assert torch.equal(one.patience, other.patience)


@pytest.mark.parametrize(("penalty", "left"), [(0.0, 0.3), (1.0, 0.1), (0.5, 0.2), (9.0, 0.0)])
def test_a_penalty_lowers_what_is_learned_from_and_not_the_sessions(parts, ensemble, penalty, left):
    # members say 0.1 and 0.5 of items above 6, so the mean is 0.3 and the deviation 0.2
    plain, one = collect(parts, ensemble, expected_feedback=True)
    lowered, other = collect(
        parts, ensemble, measure=True, expected_feedback=True, disagreement_penalty=penalty
    )
    torch.testing.assert_close(lowered.clicks, torch.where(lowered.slates < 7, 0.6, left))
    assert_reward_of_clicks(lowered, other)
    assert torch.equal(plain.slates, lowered.slates)
    for before, after in zip(plain.next_observation, lowered.next_observation, strict=True):
        assert torch.equal(before, after)
    assert torch.equal(plain.terminated, lowered.terminated)
    assert torch.equal(one.patience, other.patience)
    if penalty == 0.0:
        assert torch.equal(plain.clicks, lowered.clicks)


@pytest.mark.parametrize(
    "options", [{"expected_feedback": True}, {"measure": True}, {"measure": False}]
)
def test_a_penalty_without_what_it_needs_is_refused(parts, ensemble, options):
    with pytest.raises(ValueError, match="needs expected feedback and sessions that measure"):
        collect(parts, ensemble, disagreement_penalty=1.0, **options)
