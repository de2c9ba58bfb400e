"""Items that share a code: both HSRL agents follow the priors and the frequency cap."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hsrl_pipeline.agents.hsrl import HsrlAgent
from hsrl_pipeline.agents.policy_checkpoint import describe_policy, priors_in_use, restore_policy
from hsrl_pipeline.agents.registry import build_agent
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.replay.transitions import TransitionBatch
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.simulator.user_pool import UserPool

from .test_conformance import (
    HISTORY,
    N_ITEMS,
    SLATE,
    make_context,
    make_log,
    make_settings,
    observe,
)

AGENTS = ("hsrl", "hsrl_paper")
# items 1 to 4 share a code, 5 to 8 another, 9 to 12 the third
CODES = np.array([[-1, -1], *[[item // 4, item // 4] for item in range(N_ITEMS)]])
LARGE = np.zeros(N_ITEMS + 1, np.float32)
LARGE[[3, 8, 9]] = 6.0


def collided_context(priors=None):
    return replace(make_context(), codes=CODES, vocab_sizes=(3, 3), item_priors=priors)


def collided_agent(name, priors=None, **options):
    return build_agent(name, make_settings(name, **options), collided_context(priors))


def draw(agent, rows=600, shown=None):
    generator = torch.Generator().manual_seed(0)
    observation = observe(rows, generator)
    if shown is not None:
        observation = observation._replace(shown=torch.tensor([shown]).expand(rows, -1))
    return agent.act(observation, explore=True, generator=generator), observation


@pytest.mark.parametrize("name", AGENTS)
def test_priors_say_which_item_of_a_code_is_shown(name):
    shares = {}
    for case, priors in (("even", None), ("zeros", LARGE * 0), ("large", LARGE)):
        action, _ = draw(collided_agent(name, priors))
        first = action.slates[:, 0]
        shares[case] = torch.isin(first, torch.tensor([3, 8, 9])).float().mean().item()
        if priors is None:
            even = action
        elif case == "zeros":
            assert torch.equal(action.slates, even.slates)
            assert torch.equal(action.log_prob, even.log_prob)
    # exp(6) against three items of exp(0)
    assert shares["large"] == pytest.approx(403.4 / 406.4, abs=0.02)
    assert shares["even"] == pytest.approx(0.25, abs=0.08)
    # greedily too: whichever code is best, its preferred item comes first
    observation = observe(20, torch.Generator().manual_seed(1))
    slates = collided_agent(name, LARGE).act(observation, explore=False).slates
    assert torch.isin(slates[:, 0], torch.tensor([3, 8, 9])).all()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hsrl", {"use_leaf_vectors": False}),
        ("hsrl", {"policy_head": "trie"}),
        ("hsrl_paper", {}),
    ],
)
def test_capped_items_give_way_to_the_others_of_their_code(name, options):
    agent = collided_agent(name, LARGE, **options)
    # all of the second and third code may not be shown, of the first only the preferred item
    shown = [3, 5, 6, 7, 8, 9, 10, 11, 12, 0]
    action, observation = draw(agent, 60, shown)
    assert set(action.slates.flatten().tolist()) == {1, 2, 4}
    # one of three even items, then one of two
    torch.testing.assert_close(action.log_prob.exp(), torch.full((60,), 1 / 6), rtol=1e-3, atol=0)
    greedy = agent.act(observation, explore=False).slates
    assert set(greedy.flatten().tolist()) <= {1, 2, 4}


def likelihood(agent, observation, slates):
    """Likelihood of single items as learning takes it from replayed transitions."""
    with torch.no_grad():
        state = agent._encoder(observation)
        if isinstance(agent, HsrlAgent):
            return agent._head.item_log_prob(state, slates, observation.shown)
        log_probs = agent._head(state).log_probs
        return agent._items.log_prob(log_probs, slates, observation.shown)


@pytest.mark.parametrize(
    ("name", "options"), [("hsrl", {"policy_head": "trie"}), ("hsrl_paper", {})]
)
def test_the_likelihood_of_a_code_is_that_of_its_items_that_may_be_shown(name, options):
    agent = collided_agent(name, LARGE, **options)
    observation = observe(8, torch.Generator().manual_seed(0))
    items = torch.arange(1, 5).expand(8, -1)
    free = likelihood(agent, observation, items).exp()
    capped = likelihood(
        agent, observation._replace(shown=torch.tensor([[3, 0]]).expand(8, -1)), items
    ).exp()
    torch.testing.assert_close(free.sum(-1), capped.sum(-1))
    assert (capped[:, 2] == 0).all()
    torch.testing.assert_close(capped[:, 0], free.sum(-1) / 3)


class Indifferent:
    def probabilities(self, observation, slates):
        return torch.full(slates.shape, 0.9)


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("cap", [1, 2])
def test_sessions_obey_the_cap_and_updates_stay_finite(name, cap):
    agent = collided_agent(name, LARGE)
    generator = torch.Generator().manual_seed(0)
    histories = torch.zeros(5, HISTORY, dtype=torch.int64)
    horizon = 4
    sessions = SlateSessions(
        Indifferent(),
        UserPool.from_rows(torch.ones(5, 1, dtype=torch.int64), torch.zeros(5, 1), histories),
        SessionSetting(
            session=SessionConfig(horizon=horizon, history_size=HISTORY),
            reward=RewardConfig(),
            candidates=CandidatesConfig(frequency_cap=cap),
            slate_size=SLATE,
            n_items=N_ITEMS,
        ),
        batch_size=16,
        seed=0,
    )
    for explore in (True, False):
        showings = []
        for _ in range(horizon):
            before = sessions.observation
            action = agent.act(before, explore=explore, generator=generator)
            result = sessions.step(action.slates)
            showings.append(action.slates)
            if explore:
                batch = _transitions(before, action, result)
                losses = agent.update(batch, make_log(16, generator)).losses
                assert all(loss.isfinite() for loss in losses.values())
        for row in torch.cat(showings, 1):
            assert torch.bincount(row).max() <= cap
        # the greedy policy would show its favourites again and again
        if not explore and cap == 2:
            assert all(torch.bincount(row).max() == 2 for row in torch.cat(showings, 1))


def _transitions(before, action, result):
    return TransitionBatch(
        before,
        action.slates,
        result.clicks,
        result.reward,
        result.next_observation,
        result.terminated,
        result.truncated,
        action.latent_action,
        action.log_prob,
    )


def test_a_policy_is_not_restored_with_other_priors():
    agent, settings = collided_agent("hsrl", LARGE), make_settings("hsrl")
    checkpoint = describe_policy(agent, settings, collided_context(LARGE), {})
    assert len(checkpoint["config"]["item_priors_version"]) == 12
    restored = restore_policy(checkpoint, collided_context(LARGE.copy()))
    observation = observe(6, torch.Generator().manual_seed(0))
    slates = [policy.act(observation, explore=False).slates for policy in (agent, restored)]
    assert torch.equal(*slates)
    for other in (None, LARGE + 1):
        with pytest.raises(UserError, match=r"by other priors.*\n?.*sid.priors"):
            restore_policy(checkpoint, collided_context(other))


def test_priors_do_not_matter_where_codes_are_unique():
    priors = np.arange(N_ITEMS + 1, dtype=np.float32)
    context = make_context()
    assert priors_in_use(replace(context, item_priors=priors)) == priors_in_use(context) == {}
    observation = observe(40, torch.Generator().manual_seed(0))
    for name in AGENTS:
        actions = []
        for given in (None, priors):
            agent = build_agent(name, make_settings(name), replace(context, item_priors=given))
            generator = torch.Generator().manual_seed(1)
            actions.append(agent.act(observation, explore=True, generator=generator))
        assert torch.equal(actions[0].slates, actions[1].slates)
        assert torch.equal(actions[0].log_prob, actions[1].log_prob)
