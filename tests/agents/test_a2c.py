"""The loss of ``a2c``, written out again."""

from __future__ import annotations

import pytest
import torch

from hsrl_pipeline.agents.a2c import build_a2c
from hsrl_pipeline.config.agents.a2c import A2CSettings

from .one_update import (
    ENCODER,
    assert_same_figures,
    assert_same_gradients,
    gradients_of,
    make_batch,
    make_context,
    slate_log_prob,
    target_of,
    update_of,
    without_padding,
)

CLIP = 0.4


def test_an_update_descends_the_loss_of_policy_value_and_entropy() -> None:
    settings = A2CSettings(encoder=ENCODER, value_coef=0.7, entropy_coef=0.3, advantage_clip=CLIP)
    agent, batch = build_a2c(settings, make_context()), make_batch(0)
    twin = agent.twin()
    actor, critic = twin._actor, twin._value
    target = target_of(batch, critic(actor.encoder(batch.next_observation)))
    states = actor.encoder(batch.observation)
    value = critic(states)
    error = target - value
    # some advantages are clipped and some are not
    assert 0 < int((error.abs() > CLIP).sum()) < len(error)
    scores = without_padding(states @ actor.encoder.items.catalogue().t() + actor.item_bias)
    log_prob = slate_log_prob(scores, batch.slates)
    policy = -(error.detach().clamp(-CLIP, CLIP) * log_prob.mean(1)).mean()
    log_softmax = scores.log_softmax(1)[:, 1:]
    entropy = -(log_softmax.exp() * log_softmax).sum(1).mean()
    square = error.square().mean()
    expected = gradients_of(twin, policy + 0.7 * square - 0.3 * entropy)

    stats, found = update_of(agent, batch)

    assert_same_gradients(found, expected)
    assert_same_figures(stats.losses, {"actor_loss": policy, "critic_loss": square})
    assert_same_figures(
        stats.diagnostics,
        {"entropy": entropy, "value_mean": value.mean(), "value_error": error.abs().mean()},
    )


@pytest.mark.parametrize("explore", [True, False])
def test_a_slate_says_how_likely_it_was_drawn(explore: bool) -> None:
    agent = build_a2c(A2CSettings(encoder=ENCODER), make_context())
    observation = make_batch(0).observation
    generator = torch.Generator().manual_seed(0)
    action = agent.act(observation, explore=explore, generator=generator)
    scores = without_padding(agent.item_scores(observation))
    if explore:
        expected = slate_log_prob(scores, action.slates).sum(1)
        torch.testing.assert_close(action.log_prob, expected)
    else:
        assert torch.equal(action.slates, scores.topk(3).indices)
        assert not action.log_prob.any()
