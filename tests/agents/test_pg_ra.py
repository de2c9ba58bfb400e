"""The loss of ``pg_ra``, written out again, and what its Gaussian draws."""

from __future__ import annotations

import math
from typing import Any

import torch

from hsrl_pipeline.agents.pg_ra import ActionRepresentationAgent, build_pg_ra
from hsrl_pipeline.config.agents.pg_ra import PGRASettings

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

LATENT, CLIP = 4, 0.4


def make_agent(**options: Any) -> ActionRepresentationAgent:
    return build_pg_ra(PGRASettings(encoder=ENCODER, latent_size=LATENT, **options), make_context())


def normal_log_density(latent: torch.Tensor, mean: torch.Tensor, std: float) -> torch.Tensor:
    return -(((latent - mean) / std) ** 2) / 2 - math.log(std * math.sqrt(2 * math.pi))


def test_an_update_descends_the_loss_of_policy_value_and_representations() -> None:
    agent = make_agent(
        value_coef=0.7,
        entropy_coef=0.3,
        representation_coef=0.6,
        advantage_clip=CLIP,
        initial_std=0.5,
    )
    batch = make_batch(LATENT)
    twin = agent.twin()
    actor, critic = twin._actor, twin._value
    after = actor.encoder(batch.next_observation).detach()
    target = target_of(batch, critic(after))
    states = actor.encoder(batch.observation)
    value = critic(states)
    error = target - value
    # some advantages are clipped and some are not
    assert 0 < int((error.abs() > CLIP).sum()) < len(error)
    mean, std = twin._head(states)
    distance = (batch.latent_action - mean) / std
    log_density = -0.5 * distance**2 - std.log() - 0.5 * math.log(2 * math.pi)
    policy = -(error.detach().clamp(-CLIP, CLIP) * log_density.mean(1)).mean()
    entropy = (std.log() + 0.5 * math.log(2 * math.pi * math.e)).mean()
    inferred = twin._inference(torch.cat([states.detach(), after], dim=1))
    scores = without_padding(inferred @ actor.items.catalogue().t())
    clicks = batch.clicks
    pointed = -(slate_log_prob(scores, batch.slates) * clicks).sum() / clicks.sum()
    square = error.square().mean()
    expected = gradients_of(twin, policy - 0.3 * entropy + 0.7 * square + 0.6 * pointed)

    stats, found = update_of(agent, batch)

    assert_same_gradients(found, expected)
    assert_same_figures(
        stats.losses,
        {"actor_loss": policy, "critic_loss": square, "representation_loss": pointed},
    )
    assert_same_figures(
        stats.diagnostics,
        {"entropy": entropy, "value_mean": value.mean(), "value_error": error.abs().mean()},
    )


def test_exploring_draws_around_the_mean_and_says_how_likely_that_was() -> None:
    agent, observation = make_agent(initial_std=0.5), make_batch(LATENT).observation
    still = agent.act(observation, explore=False)
    mean, _ = agent._head(agent._actor.encoder(observation))
    torch.testing.assert_close(still.latent_action, mean.detach())
    assert not still.log_prob.any()
    drawn = agent.act(observation, explore=True, generator=torch.Generator().manual_seed(3))
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(drawn.latent_action, (mean + 0.5 * noise).detach())
    expected = normal_log_density(drawn.latent_action, mean, 0.5).sum(1)
    torch.testing.assert_close(drawn.log_prob, expected.detach())
