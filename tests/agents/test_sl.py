"""The loss of ``sl``, written out again."""

from __future__ import annotations

import pytest
import torch

from hsrl_pipeline.agents.base import LogBatch
from hsrl_pipeline.agents.sl import build_sl
from hsrl_pipeline.config.agents.sl import SupervisedSettings

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
    update_of,
    without_padding,
)

SETTINGS = SupervisedSettings(
    encoder=ENCODER.model_copy(update={"use_step": False}), doubt_coef=0.6
)


def make_log() -> LogBatch:
    batch = make_batch(0)
    return LogBatch(batch.observation, batch.slates, batch.clicks)


def test_an_update_descends_the_click_loss_and_doubts_one_random_item_a_slate() -> None:
    agent, log = build_sl(SETTINGS, make_context()), make_log()
    twin = agent.twin()
    states = twin._actor.encoder(log.observation)
    scores = states @ twin._actor.encoder.items.catalogue().t() + twin._actor.item_bias
    chance = scores.gather(1, log.slates).sigmoid()
    clicked = -(log.clicks * chance.log() + (1 - log.clicks) * (1 - chance).log()).mean()
    drawn = 1 + torch.randint(N_ITEMS, (BATCH, 1), generator=agent._draws_of(1))
    doubt = -(1 - scores.gather(1, drawn).sigmoid()).log().mean() / SLATE
    expected = gradients_of(twin, clicked + 0.6 * doubt)
    torch.testing.assert_close(agent.held_out_loss(log), clicked.detach())

    stats, found = update_of(agent, None, log)

    assert_same_gradients(found, expected)
    assert_same_figures(stats.losses, {"click_loss": clicked + 0.6 * doubt})


@pytest.mark.parametrize("explore", [True, False])
def test_a_slate_says_how_likely_it_was_drawn(explore: bool) -> None:
    agent, observation = build_sl(SETTINGS, make_context()), make_log().observation
    generator = torch.Generator().manual_seed(0)
    action = agent.act(observation, explore=explore, generator=generator)
    scores = without_padding(agent.item_scores(observation))
    if explore:
        expected = slate_log_prob(scores, action.slates).sum(1)
        torch.testing.assert_close(action.log_prob, expected)
    else:
        assert torch.equal(action.slates, scores.topk(SLATE).indices)
        assert not action.log_prob.any()
