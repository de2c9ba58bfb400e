"""The losses of ``td3`` and ``ddpg``, written out again."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hsrl_pipeline.agents.base import LogBatch
from hsrl_pipeline.agents.ddpg import build_ddpg
from hsrl_pipeline.agents.td3 import DeterministicAgent, build_td3
from hsrl_pipeline.config.agents.ddpg import DDPGSettings
from hsrl_pipeline.config.agents.td3 import TD3Settings

from .one_update import (
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
)

# critics that hardly move are those that the actor's loss reads after their step
STILL = 1e-12


def make_agent(name: str, **options: Any) -> DeterministicAgent:
    shared = {"encoder": ENCODER, "critic_learning_rate": STILL, "bias_shrinkage": 0.2, **options}
    if name == "ddpg":
        return build_ddpg(DDPGSettings(**shared), make_context())
    return build_td3(TD3Settings(latent_size=4, policy_delay=1, **shared), make_context())


def cross_entropy(logits: torch.Tensor, clicks: torch.Tensor) -> torch.Tensor:
    return -(clicks * logits.sigmoid().log() + (1 - clicks) * (-logits).sigmoid().log()).mean()


@pytest.mark.parametrize(("name", "behavior_coef"), [("td3", 0), ("ddpg", 0), ("ddpg", 0.3)])
def test_an_update_descends_the_losses_of_critics_actor_and_bias(
    name: str, behavior_coef: float
) -> None:
    options = {"behavior_coef": behavior_coef, "log_batch_size": 7} if behavior_coef else {}
    agent = make_agent(name, **options)
    assert agent.uses_log == bool(behavior_coef)
    with torch.no_grad():
        agent._actor.bias.values.copy_(torch.linspace(-1, 1, 10))
    batch = make_batch(agent.latent_size)
    twin = agent.twin()
    actor, critics = twin._actor, twin._critics
    bootstrap = agent.bootstrap(batch)
    states = actor.encoder(batch.observation)
    values = critics(states, batch.latent_action)
    square = sum((each - bootstrap.td_target).square().mean() for each in values)
    bias = actor.bias.values
    scores = torch.einsum("bkd,bd->bk", actor.items(batch.slates), batch.latent_action).detach()
    logits = scores + bias[batch.slates] + actor.bias.level
    clicked = cross_entropy(logits, batch.clicks)
    expected = gradients_of(twin, square + clicked + 0.2 * (bias**2).sum())
    losses = {"critic_loss": square, "bias_loss": clicked}
    log = None
    if behavior_coef:
        assert (agent.latent_size, agent.log_batch_size) == (WIDTH, 7)
        other = make_batch(0)
        log = LogBatch(other.next_observation, other.slates, other.clicks)
        latent = actor.head(actor.encoder(log.observation))
        scores = torch.einsum("bkd,bd->bk", actor.items(log.slates), latent)
        behavior = cross_entropy(scores + bias[log.slates] + actor.bias.level, log.clicks)
        expected = sum_of(expected, gradients_of(twin, behavior_coef * behavior))
        losses["behavior_loss"] = behavior
    ascent = -critics(states.detach(), actor.head(states.detach()))[0].mean()
    upward = gradients_of(twin, ascent)
    expected = sum_of(expected, {key: upward[key] for key in upward if ".head." in key})

    stats, found = update_of(agent, batch, log, bootstrap)

    assert_same_gradients(found, expected)
    assert_same_figures(stats.losses, losses | {"actor_loss": ascent})
    error = (values - bootstrap.td_target).abs().mean()
    assert_same_figures(stats.diagnostics, {"value_mean": values.mean(), "value_error": error})


def test_the_target_of_ddpg_is_the_value_of_what_its_target_networks_would_do() -> None:
    agent = make_agent("ddpg", item_bias=False)
    batch = make_batch(agent.latent_size)
    state = agent._target_actor.encoder(batch.next_observation)
    value = agent._target_critics(state, agent._target_actor.head(state))[0]
    found = agent.bootstrap(batch).td_target
    torch.testing.assert_close(found, target_of(batch, value))


def test_every_update_smooths_its_target_with_noise_of_its_own() -> None:
    agent = make_agent("td3", target_noise_std=0.5)
    batch = make_batch(agent.latent_size)
    state = agent.state_dict()
    targets = []
    for n_updates in (3, 3, 4):
        agent.load_state_dict(state | {"n_updates": n_updates})
        targets.append(agent.bootstrap(batch).td_target)
    assert torch.equal(targets[0], targets[1])
    assert not torch.equal(targets[1][1:], targets[2][1:])
