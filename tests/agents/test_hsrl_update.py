"""The loss of ``hsrl``, all of it at once, written out again."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch

from hsrl_pipeline.agents.base import LogBatch
from hsrl_pipeline.agents.hsrl import HsrlAgent, build_hsrl
from hsrl_pipeline.config.agents.hsrl import HsrlSettings

from .one_update import (
    BATCH,
    ENCODER,
    N_ITEMS,
    SLATE,
    assert_same_figures,
    assert_same_gradients,
    gradients_of,
    make_batch,
    make_context,
    slate_log_prob,
    target_of,
    update_of,
)

CLIP = 0.4


def make_agent(**options: Any) -> HsrlAgent:
    own = {"encoder": ENCODER, "warm_start_iterations": 0, "item_deviations": True, **options}
    return build_hsrl(HsrlSettings(**own), make_context())


def cross_entropy(logits: torch.Tensor, clicks: torch.Tensor) -> torch.Tensor:
    return -(clicks * logits.sigmoid().log() + (1 - clicks) * (-logits).sigmoid().log()).mean()


@pytest.mark.parametrize("value_reaches_encoder", [True, False])
def test_an_update_descends_every_term_at_its_weight(value_reaches_encoder: bool) -> None:
    agent = make_agent(
        policy_coef=0.9,
        slate_credit_coef=0.5,
        entropy_coef=0.3,
        session_likelihood_coef=0.8,
        log_likelihood_coef=0.7,
        doubt_coef=0.6,
        deviation_shrinkage=0.2,
        click_temperature=0.4,
        advantage_clip=CLIP,
        value_reaches_encoder=value_reaches_encoder,
    )
    with torch.no_grad():
        agent._head.deviations.copy_(torch.linspace(-1, 1, N_ITEMS + 1))
    batch, other = make_batch(0), make_batch(0)
    log = LogBatch(other.next_observation, other.slates, 1 - other.clicks)
    twin = agent.twin()
    head, clicks = twin._head, batch.clicks

    def click_logits(state: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        return 0.4 * head(state).gather(1, items) + twin._clicks.bias(state)

    target = target_of(batch, twin._critic([twin._encoder(batch.next_observation)]))
    state = twin._encoder(batch.observation)
    value = twin._critic([state if value_reaches_encoder else state.detach()])
    square = (value - target).square().mean()
    session = cross_entropy(click_logits(state, batch.slates), clicks)
    advantage = (target - value).detach().clamp(-CLIP, CLIP)
    # what an item's click has over the mean click of its slate
    credit = 0.5 * advantage[:, None] + clicks - (clicks.sum(1, keepdim=True) - clicks) / 2
    scores = head(state)
    actor = -(credit * slate_log_prob(scores, batch.slates)).mean()
    log_softmax = scores.log_softmax(1)[:, 1:]
    entropy = -(log_softmax.exp() * log_softmax).sum(1).mean()
    drawn = 1 + torch.randint(N_ITEMS, (BATCH, 1), generator=agent._draws_of(1))
    logged = twin._encoder(log.observation)
    doubt = cross_entropy(click_logits(logged, drawn), torch.zeros(BATCH, 1)) / SLATE
    clicked = cross_entropy(click_logits(logged, log.slates), log.clicks) + 0.6 * doubt
    total = square + 0.8 * session + 0.9 * actor - 0.3 / math.log(N_ITEMS) * entropy
    total = total + 0.7 * clicked + 0.2 * head.deviations.square().sum()
    expected = gradients_of(twin, total)

    stats, found = update_of(agent, batch, log)

    assert_same_gradients(found, expected)
    assert_same_figures(
        stats.losses,
        {
            "critic_loss": square,
            "session_click_loss": session,
            "actor_loss": actor,
            "log_click_loss": clicked,
        },
    )
    assert_same_figures(
        stats.diagnostics,
        {
            "value_mean": value.mean(),
            "value_error": (value - target).abs().mean(),
            "advantage_std": advantage.std(correction=0),
            "entropy": entropy,
        },
    )


def test_deviations_take_longer_steps_by_their_gain() -> None:
    agent = make_agent(learning_rate=1e-3, deviation_gain=20.0)
    agent.scale_learning_rates(0.5)
    before = copy.deepcopy(agent._head.state_dict())

    agent.update(make_batch(0), None)

    now = agent._head.state_dict()
    moved = {name: float((now[name] - before[name]).abs().max()) for name in before}
    # the first step of Adam is as long as its step size wherever there is a gradient
    assert moved.pop("deviations") == pytest.approx(1e-2, rel=1e-3)
    assert max(moved.values()) == pytest.approx(5e-4, rel=1e-3)


@pytest.mark.parametrize("action_space", ["items", "semantic_ids"])
def test_only_a_code_of_an_items_own_is_no_part_of_what_is_unseen(action_space: str) -> None:
    agent = make_agent(action_space=action_space, unseen_share=0.999)
    _, found = update_of(agent, make_batch(0))
    of_codes = found["policy.head.heads.0.weight"]
    assert of_codes.any() == (action_space == "semantic_ids")
    assert found["policy.head.vector_query.weight"].any()
