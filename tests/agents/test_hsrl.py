import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hsrl_pipeline.agents.base import AgentContext, LogBatch
from hsrl_pipeline.agents.hsrl import build_hsrl
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.config.agents.shared import EncoderConfig
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch

ENCODER = EncoderConfig(
    embedding_size=8, n_layers=1, n_heads=2, feedforward_size=8,
    use_item_ids=False, use_item_codes=True,
)  # fmt: skip
HEADS = pytest.mark.parametrize("head", ["look_up", "codes", "trie"])
N_ITEMS, SLATE, HISTORY = 12, 3, 4
VECTORS = np.random.default_rng(0).normal(size=(N_ITEMS + 1, 5)).astype("f4")
CODES = np.array([[-1, -1]] + [[item % 4, item // 4] for item in range(N_ITEMS)])


def make_context(**changes):
    context = AgentContext(
        N_ITEMS, SLATE, HISTORY, (3,), 0, 20, VECTORS, CODES, (4, 3), torch.device("cpu"), 0
    )
    return replace(context, **changes)


def make_agent(context=None, **options):
    defaults = {"encoder": ENCODER, "warm_start_iterations": 0, "session_likelihood_coef": 0.0}
    return build_hsrl(HsrlSettings(**{**defaults, **options}), context or make_context())


def observe(batch=6, seed=0, shown=None):
    generator = torch.Generator().manual_seed(seed)
    return Observation(
        torch.randint(0, 3, (batch, 1), generator=generator),
        torch.zeros(batch, 0),
        torch.randint(0, N_ITEMS + 1, (batch, HISTORY), generator=generator),
        torch.zeros(batch, dtype=torch.int64),
        shown,
    )


def slates_of(batch):
    rows = [
        torch.randperm(N_ITEMS, generator=torch.Generator().manual_seed(r)) for r in range(batch)
    ]
    return torch.stack(rows)[:, :SLATE] + 1


def transitions(batch=6, clicks=None, terminated=True, reward=0.5, shown=None):
    return TransitionBatch(
        observe(batch, shown=shown),
        slates_of(batch),
        torch.ones(batch, SLATE) if clicks is None else clicks,
        torch.full((batch,), reward),
        observe(batch, 1, shown),
        torch.full((batch,), terminated),
        torch.zeros(batch, dtype=torch.bool),
        torch.empty(batch, 0),
        torch.zeros(batch),
    )


def logged(batch=8, clicked=None, seed=2):
    slates = slates_of(batch)
    clicks = torch.zeros(batch, SLATE) if clicked is None else torch.isin(slates, clicked).float()
    return LogBatch(observe(batch, seed), slates, clicks)


def likelihood(agent, observation, slates):
    with torch.no_grad():
        return agent._slates.likelihood(agent._encoder(observation), observation, slates)


@HEADS
def test_actor_loss_by_hand(head):
    agent = make_agent(policy_head=head, slate_credit_coef=0.5, entropy_coef=0.0)
    clicks = torch.tensor([[1.0, 0.0, 0.0]] * 6)
    batch = transitions(clicks=clicks)
    with torch.no_grad():
        value = agent._critic([agent._encoder(batch.observation)])
    own = torch.tensor([1.0, -0.5, -0.5])
    advantage = (0.5 - value).clamp(-1, 1)
    credit = own + 0.5 * advantage[:, None]
    log_prob = likelihood(agent, batch.observation, batch.slates).positions
    expected = -(credit * log_prob).mean()
    stats = agent.update(batch, None)
    torch.testing.assert_close(stats.losses["actor_loss"], expected)
    torch.testing.assert_close(stats.losses["critic_loss"], (value - 0.5).square().mean())
    spread = advantage.std(correction=0)
    torch.testing.assert_close(stats.diagnostics["advantage_std"], spread)


@pytest.mark.parametrize("head", ["look_up", "trie"])
def test_action_space_of_items_is_one_softmax_over_the_catalogue(head):
    agent = make_agent(action_space="items", policy_head=head)
    observation = observe(4)
    with torch.no_grad():
        state = agent._encoder(observation)
        layers = agent._head
        of_vectors = layers.vector_query(state) @ vectors_of(agent).t()
        scores = (layers.heads[0](state) + of_vectors) / 0.3
        items = torch.arange(1, N_ITEMS + 1).repeat(4, 1)
        log_prob = agent._slates.likelihood(state, observation, items[:, :SLATE]).items
    torch.testing.assert_close(log_prob, scores.log_softmax(-1)[:, :SLATE])
    slates = agent.act(observation, explore=False).slates
    assert torch.equal(slates, scores.topk(SLATE).indices + 1)
    drawn = agent.act(observation, explore=True, generator=torch.Generator().manual_seed(0)).slates
    assert all(len(set(row)) == SLATE for row in drawn.tolist())
    stats = agent.update(transitions(), logged())
    assert all(loss.isfinite() for loss in stats.losses.values())


@HEADS
def test_the_entropy_gradient_is_that_of_the_item_distribution(head):
    agent = make_agent(policy_head=head)
    observation = observe(1)
    every = torch.arange(1, N_ITEMS + 1).expand(1, -1)
    weights = [part for part in agent._head.parameters() if part.requires_grad]

    def gradient(value):
        parts = torch.autograd.grad(value, weights, allow_unused=True)
        return torch.cat([part.flatten() for part in parts if part is not None])

    with torch.no_grad():
        state = agent._encoder(observation)
    parts = every.view(-1, SLATE).unsqueeze(1)
    log_prob = torch.cat(
        [agent._slates.likelihood(state, observation, part).items for part in parts], dim=1
    )
    entropy = -(log_prob.exp() * log_prob).sum()
    expected = gradient(entropy)
    if head == "look_up":
        found = gradient(agent._slates.likelihood(state, observation, every[:, :SLATE]).entropy)
    else:
        # the estimate is exact on average over items drawn from the distribution
        drawn = torch.multinomial(
            log_prob.detach().exp()[0], 60_000, True, generator=torch.Generator().manual_seed(0)
        )
        found = gradient(agent._slates.likelihood(state, observation, drawn[None] + 1).entropy)
    error = (found - expected).norm() / expected.norm()
    assert error < (1e-4 if head == "look_up" else 0.05)


def vectors_of(agent):
    return agent._encoder.items.item_vectors[1:]


def test_items_without_a_semantic_id_are_not_decided_on_either_way():
    codes = CODES.copy()
    codes[2] = -1
    for action_space in ("semantic_ids", "items"):
        for head in ("look_up", "trie"):
            agent = make_agent(
                make_context(codes=codes), action_space=action_space, policy_head=head
            )
            assert not agent._slates.has_code[2]
            assert agent._slates.has_code[3]
            observation = observe(50)
            slates = agent.act(observation, explore=True).slates
            assert not slates.eq(2).any()


@HEADS
def test_switches_of_credit_and_likelihood(head):
    clicks = torch.tensor([[1.0, 0.0, 0.0]] * 6)
    agent = make_agent(
        policy_head=head, item_credit=False, without_replacement=False, slate_credit_coef=1.0
    )
    batch = transitions(clicks=clicks)
    with torch.no_grad():
        state = agent._encoder(batch.observation)
        advantage = (0.5 - agent._critic([state])).clamp(-1, 1)
    log_prob = likelihood(agent, batch.observation, batch.slates).items
    expected = -(advantage[:, None] * log_prob).mean()
    torch.testing.assert_close(agent.update(batch, None).losses["actor_loss"], expected)


def test_target_ends_with_the_user_and_only_then():
    agent = make_agent()
    left, staying = (
        agent.bootstrap(transitions(terminated=kind)).td_target for kind in (True, False)
    )
    value = agent._target_critic([agent._target_encoder(observe(6, 1))])
    torch.testing.assert_close(left, torch.full((6,), 0.5))
    torch.testing.assert_close(staying, 0.5 + 0.9 * value)


@HEADS
def test_click_likelihood_by_hand(head):
    agent = make_agent(
        policy_head=head, warm_start_iterations=5, click_temperature=0.4, doubt_coef=0.0
    )
    log = logged(clicked=torch.tensor([1, 2, 3, 4]))
    with torch.no_grad():
        state = agent._encoder(log.observation)
        if head == "trie":
            scores = agent._head.item_log_prob(state, log.slates) + math.log(N_ITEMS)
        else:
            scores = agent._head(state).gather(1, log.slates)
        logits = 0.4 * scores + agent._clicks.bias(state)
        expected = F.binary_cross_entropy(logits.sigmoid(), log.clicks)
    stats = agent.update(transitions(), log)
    torch.testing.assert_close(stats.losses["log_click_loss"], expected)
    assert "actor_loss" not in stats.losses and "advantage_std" not in stats.diagnostics


@HEADS
def test_click_likelihood_of_sessions_by_hand(head):
    agent = make_agent(policy_head=head, session_likelihood_coef=1.0, click_temperature=0.4)
    batch = transitions(clicks=torch.tensor([[1.0, 0.0, 0.0]] * 6))
    with torch.no_grad():
        state = agent._encoder(batch.observation)
        if head == "trie":
            scores = agent._head.item_log_prob(state, batch.slates) + math.log(N_ITEMS)
        else:
            scores = agent._head(state).gather(1, batch.slates)
        logits = 0.4 * scores + agent._clicks.bias(state)
        expected = F.binary_cross_entropy(logits.sigmoid(), batch.clicks)
    stats = agent.update(batch, None)
    torch.testing.assert_close(stats.losses["session_click_loss"], expected)


def test_warm_start_ends_after_its_updates_and_survives_a_restart():
    agent = make_agent(warm_start_iterations=2, warm_start_learning_rate=0.01, learning_rate=0.02)
    rates = []
    for _ in range(3):
        rates.append(agent._optimizers["policy"].param_groups[0]["lr"])
        assert agent.uses_log is (len(rates) <= 2)
        agent.update(transitions(), logged() if agent.uses_log else None)
    assert rates == [0.01, 0.01, 0.02]
    other = make_agent(warm_start_iterations=2, warm_start_learning_rate=0.01, learning_rate=0.02)
    other.load_state_dict(agent.state_dict())
    assert not other.uses_log and not other.warming_up


@HEADS
def test_warm_start_ranks_clicked_items_first(head):
    agent = make_agent(policy_head=head, warm_start_iterations=1000, warm_start_learning_rate=0.02)
    liked = torch.tensor([2, 7, 12])
    for update in range(80):
        agent.update(transitions(), logged(32, liked, seed=update + 3))
    slates = agent.act(observe(8), explore=False).slates
    assert torch.equal(slates.sort(dim=1).values, liked.expand(8, -1))


@HEADS
def test_doubt_lowers_the_click_log_odds_of_what_was_never_shown(head):
    log_odds = {}
    for doubt in (0.0, 3.0):
        agent = make_agent(
            policy_head=head,
            warm_start_iterations=1000,
            warm_start_learning_rate=0.02,
            doubt_coef=doubt,
        )
        log = LogBatch(observe(32, 2), torch.tensor([[1, 2, 3]] * 32), torch.ones(32, 3))
        for _ in range(40):
            agent.update(transitions(), log)
        never = torch.arange(4, N_ITEMS + 1).expand(32, -1)
        with torch.no_grad():
            state = agent._encoder(log.observation)
            scores = agent._slates.click_scores(state, never)
            log_odds[doubt] = agent._clicks.log_odds(state, never, scores).mean()
    assert log_odds[3.0] < log_odds[0.0] - 1.0


@HEADS
def test_policy_gradient_finds_the_liked_items(head):
    agent = make_agent(policy_head=head, learning_rate=0.005, entropy_coef=0.3)
    liked = torch.tensor([1, 6, 11])
    generator = torch.Generator().manual_seed(0)
    observation = observe(32)
    for _ in range(60):
        action = agent.act(observation, explore=True, generator=generator)
        clicks = torch.isin(action.slates, liked).float()
        batch = transitions(32, clicks)._replace(
            slates=action.slates, reward=clicks.mean(1), log_prob=action.log_prob
        )
        agent.update(batch, None)
    slates = agent.act(observation, explore=False).slates
    assert torch.isin(slates, liked).float().mean() > 0.9


@HEADS
def test_items_that_may_not_be_shown_again(head):
    agent = make_agent(policy_head=head)
    shown = torch.tensor([[1, 2, 3, 4, 5, 0]] * 6)
    for explore in (True, False):
        slates = agent.act(observe(shown=shown), explore=explore).slates
        assert not torch.isin(slates, shown).any()
    # the second batch holds slates that could not have been drawn, as after a change of catalogue
    for replayed in (slates, slates_of(6)):
        batch = transitions(shown=shown)._replace(slates=replayed)
        agent.update(batch, None)
        assert all(weight.isfinite().all() for weight in agent.policy_state().values())


@HEADS
def test_shelves_get_equal_shares(head):
    shelves = np.array([0] + [1] * 4 + [2] * 4 + [3] * 4)
    agent = make_agent(make_context(shelves=shelves), policy_head=head)
    for explore in (True, False):
        slates = agent.act(observe(), explore=explore).slates
        assert torch.from_numpy(shelves)[slates].tolist() == [[1, 2, 3]] * 6
    assert agent.update(transitions(), None).losses["actor_loss"].isfinite()


def test_shelves_have_their_own_normalisers():
    shelves = np.array([0] + [1] * 3 + [2] * 9)
    context = make_context(shelves=shelves)
    agent = make_agent(replace(context, slate_size=2), policy_head="trie", click_temperature=0.4)
    assert agent._clicks.bias.out_features == 2
    observation, items = observe(), torch.tensor([[1, 2, 7]] * 6)
    with torch.no_grad():
        state = agent._encoder(observation)
        scores = agent._slates.click_scores(state, items)
        own = agent._head.item_log_prob(state, items) + torch.tensor([3.0, 3.0, 9.0]).log()
        torch.testing.assert_close(scores, own)
        level = agent._clicks.bias(state)[:, [0, 0, 1]]
        torch.testing.assert_close(agent._clicks.log_odds(state, items, scores), 0.4 * own + level)
    # the bonus is the mean entropy of the shelves, and is paid by its own maximum
    price = agent._settings.entropy_coef / ((math.log(3) + math.log(9)) / 2)
    assert agent._entropy_price == pytest.approx(price)


@pytest.mark.parametrize("gated", [True, False])
def test_a_first_code_may_be_likelier_on_one_shelf_than_on_another(gated):
    # both shelves have the same codes: without roots of their own they would share all scores
    codes = np.array([[-1, -1]] + [[item % 3, item // 3 % 2] for item in range(N_ITEMS)])
    shelves = np.array([0] + [1] * 6 + [2] * 6)
    agent = make_agent(
        make_context(
            codes=codes, shelves=shelves, slate_size=2, item_vectors=np.zeros_like(VECTORS)
        ),
        policy_head="trie", gated_context=gated, learning_rate=0.05,
        entropy_coef=0.0, slate_credit_coef=0.0,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        batch = transitions(batch=16)
        slates = agent.act(batch.observation, explore=True, generator=generator).slates
        liked = torch.isin(slates, torch.tensor([1, 4, 8, 11]))  # first code 0, and first code 1
        agent.update(batch._replace(slates=slates, clicks=liked.float()), None)
    shown = agent.act(observe(), explore=False).slates
    assert torch.isin(shown[:, 0], torch.tensor([1, 4])).all()
    assert torch.isin(shown[:, 1], torch.tensor([8, 11])).all()


def test_an_item_without_semantic_id_is_never_shown_and_breaks_nothing():
    codes = CODES.copy()
    codes[5] = -1
    context = make_context(codes=codes)
    agent, other = (make_agent(context, warm_start_iterations=1) for _ in "ab")
    log = logged(clicked=torch.tensor([5]))
    assert log.clicks.any()
    skipped = replace(log, clicks=torch.zeros_like(log.clicks))
    losses = [
        one.update(transitions(), seen).losses["log_click_loss"]
        for one, seen in ((agent, log), (other, skipped))
    ]
    assert losses[0].isfinite() and torch.equal(*losses)
    for explore in (True, False):
        assert not agent.act(observe(40), explore=explore).slates.eq(5).any()


@pytest.mark.parametrize(
    "switch",
    [
        {"policy_head": "trie"},
        {"policy_head": "codes"},
        {"policy_head": "trie", "context_update": "expected"},
        {"policy_head": "trie", "context_update": "none"},
        {"policy_head": "trie", "valid_only": False},
        {"policy_head": "trie", "gated_context": False},
        {"gated_context": False},
        {"item_deviations": False},
        {"use_leaf_vectors": False},
        {"normalize_entropy": False},
        {"value_reaches_encoder": True},
        {"log_likelihood_coef": 0.1},
        {"session_likelihood_coef": 1.0},
    ],
)
def test_every_switch_trains(switch):
    agent = make_agent(**switch)
    stats = agent.update(transitions(), logged() if agent.uses_log else None)
    assert all(value.isfinite() for value in stats.losses.values())
    assert ("log_click_loss" in stats.losses) is ("log_likelihood_coef" in switch)
    assert ("session_click_loss" in stats.losses) is ("session_likelihood_coef" in switch)


def test_missing_inputs_are_named():
    with pytest.raises(ValueError, match="without transitions"):
        make_agent().update(None, logged())
    with pytest.raises(ValueError, match="without logged slates"):
        make_agent(warm_start_iterations=1).update(transitions(), None)
