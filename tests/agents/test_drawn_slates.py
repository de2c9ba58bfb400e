"""Learning from several slates that were drawn for each state."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from hsrl_pipeline.agents.drawn_slates import drawn_slates
from hsrl_pipeline.losses.slate_likelihood import group_click_advantage, own_click_advantage
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import JudgedSlates

from .test_hsrl import HEADS, N_ITEMS, SLATE, make_agent, make_context, observe, transitions


def judged(group_size, batch=6, slate=SLATE, seed=5):
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(group_size - 1, batch, N_ITEMS, generator=generator).argsort(-1)
    clicks = torch.rand(group_size - 1, batch, slate, generator=generator)
    return JudgedSlates(draws[..., :slate] + 1, clicks)


def test_all_slates_stand_below_those_shown_each_with_its_own_state():
    batch = transitions()._replace(judged=judged(3))
    state = torch.arange(6.0)[:, None]
    drawn = drawn_slates(batch, state)
    assert drawn.state.flatten().tolist() == [*range(6)] * 3
    assert torch.equal(drawn.slates[:6], batch.slates)
    assert torch.equal(drawn.slates[12:], batch.judged.slates[1])
    assert torch.equal(drawn.clicks[6:12], batch.judged.clicks[0])
    assert torch.equal(drawn.observation.history[6:12], batch.observation.history)


def test_without_judged_slates_those_shown_are_all():
    batch, state = transitions(), torch.ones(6, 2)
    drawn = drawn_slates(batch, state)
    kept = (state, batch.observation, batch.slates, batch.clicks)
    assert all(own is given for own, given in zip(drawn, kept, strict=True))


@HEADS
def test_losses_of_a_group_by_hand(head):
    agent = make_agent(
        policy_head=head,
        group_size=3,
        slate_credit_coef=0.5,
        entropy_coef=0.0,
        session_likelihood_coef=1.0,
    )
    assert agent.group_size == 3
    shown = torch.rand(6, SLATE, generator=torch.Generator().manual_seed(1))
    batch = transitions(clicks=shown)._replace(judged=judged(3))
    slates = [batch.slates, *batch.judged.slates]
    clicks = [shown, *batch.judged.clicks]
    with torch.no_grad():
        state = agent._encoder(batch.observation)
        value = agent._critic([state])
        advantage = (0.5 - value).clamp(-1, 1)
        found = [agent._slates.likelihood(state, batch.observation, one) for one in slates]
        items, fits = [], []
        for own, likelihood in enumerate(found):
            others = torch.cat([clicks[other] for other in range(3) if other != own], dim=1)
            credit = clicks[own] - others.mean(1, keepdim=True)
            items.append(credit * likelihood.positions)
            logits = agent._clicks.log_odds(state, slates[own], likelihood.click_scores)
            fits.append(F.binary_cross_entropy_with_logits(logits, clicks[own]))
        whole = 0.5 * (advantage[:, None] * found[0].positions).mean()
    stats = agent.update(batch, None)
    torch.testing.assert_close(stats.losses["actor_loss"], -torch.stack(items).mean() - whole)
    torch.testing.assert_close(stats.losses["session_click_loss"], torch.stack(fits).mean())
    torch.testing.assert_close(stats.losses["critic_loss"], (value - 0.5).square().mean())


def test_a_group_of_one_item_leaves_out_the_value_when_its_weight_is_zero():
    agent = make_agent(
        context=make_context(slate_size=1), group_size=2, slate_credit_coef=0.0, entropy_coef=0.0
    )
    batch = transitions(clicks=torch.full((6, 1), 0.75))
    batch = batch._replace(slates=batch.slates[:, :1])
    one = JudgedSlates(judged(2, slate=1).slates, torch.full((1, 6, 1), 0.25))
    with torch.no_grad():
        state = agent._encoder(batch.observation)
        shown, other = (
            agent._slates.likelihood(state, batch.observation, slates).positions
            for slates in (batch.slates, one.slates[0])
        )
    stats = agent.update(batch._replace(judged=one), None)
    expected = -(0.5 * shown - 0.5 * other).mean() / 2
    torch.testing.assert_close(stats.losses["actor_loss"], expected)


APPEAL = torch.rand(N_ITEMS + 1, generator=torch.Generator().manual_seed(3))


def every_slate(agent, slate_size):
    """Return all ordered slates and their likelihood in one state."""
    slates = torch.tensor(list(itertools.permutations(range(1, N_ITEMS + 1), slate_size)))
    state = Observation(*(field.expand(len(slates), *field.shape[1:]) for field in observe(1)))
    return slates, agent._slates.likelihood(agent._encoder(state), state, slates)


def gradient(agent, score):
    parts = torch.autograd.grad(score, list(agent._head.parameters()), allow_unused=True)
    return torch.cat([part.flatten() for part in parts if part is not None])


def expected_gradient(agent, slate_size, credit_of):
    """Return the policy's mean gradient of credits, over all pairs of slates drawn for a state."""
    slates, likelihood = every_slate(agent, slate_size)
    chances = likelihood.positions.detach().sum(1).exp()
    assert chances.sum().item() == pytest.approx(1.0, abs=1e-4)
    pairs = torch.tensor(list(itertools.product(range(len(slates)), repeat=2))).t()
    credit = credit_of(APPEAL[slates][pairs])
    of_pairs = (credit * likelihood.positions[pairs]).sum((0, 2)) / 2
    return gradient(agent, chances[pairs].prod(0) @ of_pairs)


@pytest.mark.parametrize("slate_size", [1, 2])
def test_other_slates_are_a_baseline_and_with_the_own_one_they_are_not(slate_size):
    agent = make_agent(context=make_context(slate_size=slate_size), group_size=2)
    plain = expected_gradient(agent, slate_size, lambda clicks: clicks)
    compared = expected_gradient(agent, slate_size, group_click_advantage)
    whole = expected_gradient(
        agent, slate_size, lambda clicks: clicks - clicks.mean((0, 2), keepdim=True)
    )
    assert plain.abs().max() > 1e-3
    torch.testing.assert_close(compared, plain, atol=1e-5, rtol=1e-3)
    assert (whole - plain).norm() > 0.1 * plain.norm()


def test_the_rest_of_the_own_slate_is_nearly_a_baseline_and_another_slate_is_one():
    agent = make_agent(context=make_context(slate_size=2), group_size=2)
    plain = expected_gradient(agent, 2, lambda clicks: clicks)
    rest = expected_gradient(
        agent, 2, lambda clicks: own_click_advantage(clicks.flatten(0, 1)).view(clicks.shape)
    )
    assert 0.01 < (rest - plain).norm() / plain.norm() < 0.1
    assert torch.cosine_similarity(rest, plain, dim=0) > 0.999


def test_the_gradient_of_slates_of_one_item_is_that_of_the_expected_click():
    agent = make_agent(context=make_context(slate_size=1), group_size=2)
    slates, likelihood = every_slate(agent, 1)
    exact = gradient(agent, (likelihood.items.exp() * APPEAL[slates]).sum())
    found = expected_gradient(agent, 1, group_click_advantage)
    torch.testing.assert_close(found, exact, atol=1e-5, rtol=1e-3)


def test_shows_of_arrived_items_are_counted_for_shown_slates_alone(monkeypatch):
    agent = make_agent(group_size=2, arrival_prior=1.0)
    batch = transitions()._replace(judged=judged(2))
    seen = []
    monkeypatch.setattr(agent, "observe", lambda *given: seen.append(given))
    agent.update(batch, None)
    assert len(seen) == 1
    assert torch.equal(seen[0][1], batch.slates)
