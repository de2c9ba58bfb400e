"""The losses of ``hac``, written out again."""

from __future__ import annotations

import torch

from hsrl_pipeline.agents.hac import build_hac
from hsrl_pipeline.config.agents.hac import HACSettings

from .one_update import (
    BATCH,
    ENCODER,
    WIDTH,
    assert_same_figures,
    assert_same_gradients,
    gradients_of,
    make_batch,
    make_context,
    sum_of,
    target_of,
    update_of,
    without_padding,
)


def best_of(scores: torch.Tensor) -> torch.Tensor:
    return without_padding(scores).topk(3).indices


def test_an_update_descends_the_losses_of_critic_actor_alignment_and_supervision() -> None:
    settings = HACSettings(
        encoder=ENCODER,
        policy_coef=0.3,
        supervision_coef=0.7,
        alignment_coef=0.6,
        bias_shrinkage=0.2,
    )
    agent, batch = build_hac(settings, make_context()), make_batch(WIDTH)
    with torch.no_grad():
        for part in (agent._actor, agent._target_actor):
            part.bias.values.copy_(torch.linspace(-1, 1, 10))
    twin = agent.twin()
    actor, critic, bias = twin._actor, twin._critic, twin._actor.bias.values
    table = actor.items.catalogue()
    # both online and target networks, which are alike still, judge the mean of the slate's items
    following = agent._target_actor
    after = following.encoder(batch.next_observation)
    best = best_of(following.head(after) @ table.t() + following.bias.values)
    target = target_of(batch, agent._target_critic(after, table[best].mean(1))[0])
    states = actor.encoder(batch.observation)
    value = critic(states, table.detach()[batch.slates].mean(1))[0]
    square = (value - target).square().mean()
    latent = actor.head(states)
    logits = torch.einsum("bkd,bd->bk", table[batch.slates], latent)
    logits = logits + bias[batch.slates] + actor.bias.level
    chance = logits.sigmoid()
    clicks = batch.clicks
    supervision = -(clicks * chance.log() + (1 - clicks) * (1 - chance).log()).mean()
    own = table[best_of(latent @ table.t() + bias)].mean(1).detach()
    alignment = (latent - own).square().sum() / BATCH
    shared = square + 0.7 * supervision + 0.6 * alignment + 0.2 * (bias**2).sum()
    expected = gradients_of(twin, shared)
    ascent = -critic(states.detach(), actor.head(states.detach()))[0].mean()
    upward = gradients_of(twin, 0.3 * ascent)
    expected = sum_of(expected, {key: upward[key] for key in upward if ".head." in key})

    stats, found = update_of(agent, batch)

    assert_same_gradients(found, expected)
    assert_same_figures(
        stats.losses,
        {
            "critic_loss": square,
            "actor_loss": ascent,
            "alignment_loss": alignment,
            "supervision_loss": supervision,
        },
    )
    error = (value - target).abs().mean()
    assert_same_figures(stats.diagnostics, {"value_mean": value.mean(), "value_error": error})


def test_noise_explores_within_the_box() -> None:
    agent = build_hac(HACSettings(encoder=ENCODER, exploration_noise_std=2.0), make_context())
    observation = make_batch(0).observation
    still = agent.act(observation, explore=False).latent_action
    generator = torch.Generator().manual_seed(0)
    noisy = agent.act(observation, explore=True, generator=generator).latent_action
    assert float(noisy.abs().max()) == 1.0
    assert not torch.equal(noisy, still)
