from dataclasses import replace

import numpy as np
import pytest
import torch

from hsrl_pipeline.agents.slate_selection import SlateSelector
from hsrl_pipeline.config.agent import REFERENCE_NAMES
from hsrl_pipeline.config.session import CandidatesConfig, SessionConfig
from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.evaluation.references import (
    GreedyPolicy,
    RandomPolicy,
    build_references,
    fit_static_slate,
    popularity_policy,
    training_clicks,
)
from hsrl_pipeline.evaluation.rollouts import evaluate_policy
from hsrl_pipeline.simulator.event_histories import ShownHistories

from .conftest import HISTORY, N_ITEMS, FixedPolicy, TableResponse, make_setting, taste_table

ITEM_7 = torch.tensor([7])


@pytest.fixture
def observation():
    return make_setting().pool.observation(torch.arange(6))


def test_random_slates_are_distinct_uniform_and_follow_their_generator(selector, observation):
    policy = RandomPolicy(selector, N_ITEMS)
    many = observation.rows(torch.zeros(6000, dtype=torch.int64))
    slates = policy.act(many, explore=False, generator=torch.Generator().manual_seed(0)).slates
    again = policy.act(many, explore=False, generator=torch.Generator().manual_seed(0)).slates
    assert torch.equal(slates, again)
    assert all(len(set(row)) == 3 for row in slates[:200].tolist())
    shares = torch.bincount(slates.flatten(), minlength=N_ITEMS + 1)[1:] / slates.numel()
    assert shares.tolist() == pytest.approx([1 / N_ITEMS] * N_ITEMS, abs=0.01)


def test_popular_counts_clicks_of_the_training_split_alone(selector, observation):
    log = SlateLog(
        slates=np.array([[1, 2, 3], [4, 2, 1], [9, 8, 7]], np.int32),
        labels=np.array([[0, 1, 1], [1, 1, 0], [1, 1, 1]], np.int8),
        users=np.array([1, 1, 2], np.int32),
        timestamps=np.arange(3, dtype=np.int64),
        is_train=np.array([True, True, False]),
        history_start=np.zeros(3, np.int64),
        history_end=np.zeros(3, np.int64),
        timeline=np.zeros(0, np.int32),
    )
    clicks = training_clicks(log, N_ITEMS)
    assert clicks.tolist() == [0, 0, 2, 1, 1] + [0] * 8
    action = popularity_policy(clicks, selector).act(observation, explore=False)
    assert action.slates.tolist() == [[2, 3, 4]] * 6
    assert action.latent_action.shape == (6, 0)


def test_greedy_takes_the_likeliest_clicks_of_each_user(selector, observation):
    policy = GreedyPolicy("greedy", selector, TableResponse(taste_table() + torch.arange(13) / 99))
    slates = policy.act(observation, explore=False).slates
    assert slates[observation.user_categories[:, 0] == 1].tolist() == [[5, 4, 3]] * 3
    assert slates[observation.user_categories[:, 0] == 2].tolist() == [[12, 11, 10]] * 3


def test_static_slate_beats_every_other_slate_tried_by_hand(selector):
    response = TableResponse(taste_table())
    setting = make_setting(600)
    static = fit_static_slate(response, selector, setting)
    slate = static.act(setting.pool.observation(torch.arange(1)), explore=False).slates[0]
    assert {6, 7} <= set(slate.tolist())  # what pleases both kinds of users
    best = evaluate_policy(static, response, setting).total_reward.mean()
    for other in ([1, 2, 3], [1, 7, 8], [10, 11, 12], [1, 2, 12]):
        assert evaluate_policy(FixedPolicy(other), response, setting).total_reward.mean() < best


def test_static_slate_looks_at_the_states_it_leads_to(selector):
    """Item 12 charms at first and bores once clicked; a slate judged by first states takes it."""
    table = torch.full((3, N_ITEMS + 1), -3.0)
    table[:, 1:4] = 1.0
    table[:, 12] = 2.0
    response = TableResponse(table)
    logits = response.logits

    def bored(categories, dense, history, slates):
        seen = (history == 12).any(dim=1, keepdim=True)
        return logits(categories, dense, history, slates) - 9.0 * (slates == 12) * seen

    response.logits = bored
    setting = make_setting(400)
    static = fit_static_slate(response, selector, setting)
    slate = static.act(setting.pool.observation(torch.arange(1)), explore=False).slates[0]
    assert sorted(slate.tolist()) == [1, 2, 3]


def test_references_are_the_named_five_in_order(selector):
    response = TableResponse(taste_table())
    policies = build_references(
        {"train": response, "eval": response}, np.arange(13), selector, make_setting(50)
    )
    assert tuple(policy.name for policy in policies) == REFERENCE_NAMES


def test_references_rank_as_the_protocol_says(selector):
    """docs/protocol.md#references: the oracle is best, personal beats static, static random."""
    truth = TableResponse(taste_table())
    noisy = TableResponse(taste_table() + torch.randn(3, 13, generator=torch.manual_seed(0)) * 0.3)
    setting = make_setting(800)
    policies = build_references({"train": noisy, "eval": truth}, np.arange(13), selector, setting)
    reward = {p.name: evaluate_policy(p, truth, setting).total_reward.mean() for p in policies}
    assert reward["greedy_eval_simulator"] >= reward["greedy_train_simulator"]
    assert reward["greedy_train_simulator"] > reward["static_slate"] > reward["random"]


@pytest.mark.parametrize("enforce_shelves", [False, True])
def test_references_keep_the_candidate_rules(enforce_shelves):
    shelves = np.array([0, *[1] * 4, *[2] * 4, *[3] * 4]) if enforce_shelves else None
    setting = make_setting(
        30,
        session=SessionConfig(horizon=4, history_size=HISTORY),
        candidates=CandidatesConfig(exclude_shown=True, enforce_shelves=enforce_shelves),
        shelves=shelves,
    )
    response = TableResponse(taste_table())
    policies = build_references(
        {"train": response, "eval": response},
        np.arange(13),
        SlateSelector(N_ITEMS, 3, shelves),
        setting,
    )
    for policy in policies:
        assert evaluate_policy(policy, response, setting).repeated.sum() == 0


def make_form(history):
    """The same users in either form: all that they were shown before, they clicked."""
    setting = make_setting(300)
    pool = setting.pool
    if history == "responses":
        shown = ShownHistories(pool.timeline.int(), pool.history_start, pool.history_end)
        pool = replace(pool, shown=shown)
    session = SessionConfig(history_size=HISTORY, history=history)
    return replace(setting, pool=pool, sessions=replace(setting.sessions, session=session))


def test_references_and_users_go_by_clicks_whatever_policies_see(selector):
    """Boredom follows clicks alone: rewards must not depend on the form of the history."""
    response = TableResponse(taste_table(), boredom=2.0)
    totals = []
    for history in ("clicks", "responses"):
        setting = make_form(history)
        policies = [
            GreedyPolicy("greedy", selector, response),
            fit_static_slate(response, selector, setting),
            FixedPolicy([1, 7, 2]),
        ]
        totals.append([evaluate_policy(one, response, setting).total_reward for one in policies])
    np.testing.assert_array_equal(*totals)


def test_policies_are_shown_the_skips_of_the_session():
    response = TableResponse(torch.full((3, N_ITEMS + 1), -torch.inf).index_fill(1, ITEM_7, 99.0))
    policy = FixedPolicy([1, 7, 2])
    evaluate_policy(policy, response, make_form("responses"))
    second = policy.seen[1]
    assert second.history[:, -3:].tolist() == [[1, 7, 2]] * second.batch_size
    assert second.responses[:, -3:].tolist() == [[0, 1, 0]] * second.batch_size


def test_a_pool_of_the_other_form_is_refused():
    setting = make_setting(10, session=SessionConfig(history_size=HISTORY, history="responses"))
    with pytest.raises(ValueError, match="the pool shows clicks"):
        evaluate_policy(FixedPolicy([1, 2, 3]), TableResponse(taste_table()), setting)
