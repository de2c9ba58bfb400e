"""Training on groups of slates, those that are not shown judged by the simulator."""

from __future__ import annotations

import pytest
import torch

from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.training.checkpoint_store import FileCheckpointStore
from hsrl_pipeline.training.collector import Collector

from .conftest import CPU, ENCODER, StopHere, stop_at
from .test_catalogue_changes import CHANGES, assert_equal_trees, launch_context
from .test_catalogue_changes import train as run_training
from .test_return_steps import SESSIONS


def settings(group_size, **values):
    return HsrlSettings(encoder=ENCODER, warm_start_iterations=12, group_size=group_size, **values)


class StepResponse:
    """Clicks depend on item and step, so that it matters in which state a slate is judged."""

    def probabilities(self, observation, slates):
        return (slates + 3 * observation.step[:, None]) % 11 / 11.0


@pytest.fixture
def train(parts, config):
    def run(group_size=3, *, checkpoints=None, on_metrics=None, catalogues=None, **values):
        context = launch_context() if catalogues else None
        made = parts(name="hsrl", settings=settings(group_size), context=context)
        values = {"fresh_batch_size": SESSIONS, "feedback": "expected", **values}
        agent, history = run_training(
            made,
            config(**values),
            checkpoints=checkpoints,
            on_metrics=on_metrics,
            catalogues=catalogues,
        )
        return agent.state_dict(), history

    return run


def make_collector(parts, group_size, feedback=True, **values):
    agent, sessions, _ = parts(
        name="hsrl", settings=settings(group_size, **values), response=StepResponse()
    )
    return sessions, Collector(
        agent,
        sessions,
        batch_size=SESSIONS,
        buffer_size=64,
        expected_feedback=feedback,
        seed=0,
        device=CPU,
    )


def test_slates_of_a_group_are_judged_in_the_state_that_was_acted_in(parts) -> None:
    sessions, collector = make_collector(parts, 3)
    collector.warm_up(12)
    acted_in = sessions.observation
    collector.advance()
    batch = collector.experience.batch
    assert batch.judged is not None
    assert batch.judged.slates.shape == (2, SESSIONS, 2)
    assert torch.equal(batch.observation.step, acted_in.step)
    assert acted_in.step.unique().numel() > 1
    response = StepResponse()
    assert torch.equal(batch.clicks, response.probabilities(acted_in, batch.slates))
    for slates, clicks in zip(*batch.judged, strict=True):
        assert torch.equal(clicks, response.probabilities(acted_in, slates))
    # each slate is a draw of its own
    drawn = torch.cat([batch.slates[None], batch.judged.slates])
    assert len(drawn.flatten(1).unique(dim=0)) == 3


def test_sessions_go_on_with_the_slate_that_was_shown(parts) -> None:
    sessions, collector = make_collector(parts, 3)
    steps = []
    step = sessions.step

    def watched(slates):
        steps.append(slates)
        return step(slates)

    sessions.step = watched
    collector.warm_up(12)
    assert len(steps) == 3
    assert torch.equal(steps[-1], collector.experience.batch.slates)
    assert int(collector.exposure._steps[0]) == 3 * SESSIONS


def test_a_group_of_one_judges_nothing_and_keeps_the_newest_step_in_the_buffer(parts) -> None:
    sessions, collector = make_collector(parts, 1)
    sessions.judge = lambda slates: 1 / 0
    collector.warm_up(12)
    collector.advance()
    assert collector.experience.batch.judged is None
    assert len(collector.buffer) == SESSIONS


def test_a_penalty_on_disagreement_lowers_judged_slates_as_it_does_those_shown(
    parts, ensemble
) -> None:
    # members say 0.1 and 0.5 of items above 6, so the mean is 0.3 and the deviation 0.2
    agent, sessions, _ = parts(name="hsrl", settings=settings(3), response=ensemble, measure=True)
    collector = Collector(
        agent,
        sessions,
        batch_size=SESSIONS,
        buffer_size=64,
        expected_feedback=True,
        disagreement_penalty=1.0,
        seed=0,
        device=CPU,
    )
    collector.warm_up(12)
    batch = collector.experience.batch
    assert batch.judged is not None
    assert (batch.judged.slates > 6).any()
    for slates, clicks in ((batch.slates, batch.clicks), batch.judged):
        torch.testing.assert_close(clicks, torch.where(slates < 7, 0.6, 0.1))


def test_groups_need_probabilities(parts) -> None:
    with pytest.raises(ValueError, match="judged slates, feedback is sampled"):
        make_collector(parts, 2, feedback=False)


@pytest.mark.parametrize("return_steps", [1, 3])
def test_interrupted_run_resumes_to_the_same_end(train, tmp_path, return_steps) -> None:
    values = {"return_steps": return_steps}
    unbroken, history = train(**values)
    for stop in (10, 15):
        store = FileCheckpointStore(tmp_path / f"run{stop}.pt")
        with pytest.raises(StopHere):
            train(**values, checkpoints=store, on_metrics=stop_at(stop))
        resumed, again = train(**values, resume=True, checkpoints=store)
        assert_equal_trees(unbroken, resumed)
        assert history.equals(again)
    alone, _ = train(1, **values)
    assert any(
        not torch.equal(alone["networks"][name], weight)
        for name, weight in unbroken["networks"].items()
    )


def test_a_change_of_the_catalogue_resumes_to_the_same_end(train, tmp_path) -> None:
    unbroken, history = train(catalogues=CHANGES)
    store = FileCheckpointStore(tmp_path / "run.pt")
    with pytest.raises(StopHere):
        train(catalogues=CHANGES, checkpoints=store, on_metrics=stop_at(15))
    resumed, again = train(catalogues=CHANGES, resume=True, checkpoints=store)
    assert_equal_trees(unbroken, resumed)
    assert history.equals(again)
