"""Policies that rank the catalogue at the test slates of a log."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hsrl_pipeline.agents.slate_selection import SlateSelector
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.evaluation.logged_starts import (
    LoggedStarts,
    draw_rows,
    slates_one_after_another,
)
from hsrl_pipeline.evaluation.ranking import rank_test_slates, slates_per_ranking
from hsrl_pipeline.evaluation.references import GreedyPolicy, RandomPolicy, popularity_policy

from .conftest import N_ITEMS, SLATE, FixedPolicy, TableResponse, make_setting, taste_table
from .log_inputs import make_data, make_log

SETTINGS = EvaluationConfig(n_episodes=2, n_resamples=100, device="cpu", batch_size=4)


def rank(policies, log=None, evaluation=SETTINGS):
    """Return the table by policy."""
    makers = {name: lambda policy=policy: policy for name, policy in policies.items()}
    data = make_data(make_log() if log is None else log)
    table = rank_test_slates(makers, data, make_setting().sessions, evaluation, seed=3)
    return table.set_index("policy")


def test_who_knows_the_tastes_ranks_better_than_everybodys_favourites_and_chance(selector):
    policies = {
        "knows": GreedyPolicy("knows", selector, TableResponse(taste_table())),
        "popular": popularity_policy(np.arange(N_ITEMS + 1), selector),
        "random": RandomPolicy(selector, N_ITEMS),
    }
    table = rank(policies)
    assert table.ndcg.idxmax() == "knows"
    assert table.recall.between(0, 1).all()
    assert (table.larger_recall >= table.recall).all()
    # every item is among the 12 that are ranked
    assert (table.larger_k == N_ITEMS).all()
    assert (table.larger_recall == 1.0).all()
    assert (table.k == SLATE).all()
    assert (table.seed == 3).all()
    assert (table.ndcg_ci_low <= table.ndcg).all()
    assert (table.ndcg <= table.ndcg_ci_high).all()


def test_recall_by_hand_users_count_once_and_slates_without_a_click_are_left_out():
    log = make_log()
    test = np.flatnonzero(~log.is_train)
    labels = np.zeros_like(log.labels)
    labels[test[0]] = 1  # user 1: three clicks, of which the policy shows the first
    labels[test[1], 0] = 1  # user 2: one click, not shown
    labels[test[7], 1] = 1  # user 2 again, shown
    slates = log.slates.copy()
    slates[test[0]], slates[test[1]], slates[test[7]] = (1, 9, 10), (9, 1, 2), (9, 2, 10)
    log = replace(log, labels=labels, slates=slates)
    policy = FixedPolicy([1, 2, 3])
    table = rank({"fixed": policy}, log)
    assert table.recall["fixed"] == pytest.approx((1 / 3 + (0 + 1) / 2) / 2)
    first = 1 / (1 + 1 / np.log2(3) + 1 / 2)
    assert table.ndcg["fixed"] == pytest.approx((first + (0 + 1 / np.log2(3)) / 2) / 2)
    assert (table.n_users["fixed"], table.n_slates["fixed"]) == (2, 3)
    assert table.n_slates_without_click["fixed"] == 7


def test_batches_change_nothing(selector):
    greedy = {"greedy": GreedyPolicy("greedy", selector, TableResponse(taste_table()))}
    one, other = (
        rank(greedy, evaluation=SETTINGS.model_copy(update={"batch_size": size}))
        for size in (1, 100)
    )
    assert one.equals(other)


def test_the_next_slates_go_on_where_the_first_one_ended(selector):
    data = make_data(make_log())
    starts = LoggedStarts(data.log.test, data.users, make_setting().sessions, batch_size=4, seed=0)
    rows = starts.batches[0]
    policy = GreedyPolicy("greedy", selector, TableResponse(taste_table()))
    told = starts.told(policy, starts.state(rows), rows)
    slates = list(slates_one_after_another(policy, told, 3, torch.Generator()))
    whole = SlateSelector(N_ITEMS, 9).greedy(TableResponse(taste_table()).scores_all(told))
    for place in range(len(rows)):
        joined = torch.cat(slates, dim=1)[place]
        scores = TableResponse(taste_table()).scores_all(told)[place]
        assert scores[joined].tolist() == scores[whole[place]].tolist()
        assert len(set(joined.tolist())) == 9


def test_a_ranking_is_never_longer_than_the_catalogue():
    data = make_data(make_log())
    sessions = make_setting().sessions
    assert slates_per_ranking(data, sessions) == 4
    data.codebook.codes[5:] = -1
    assert slates_per_ranking(data, sessions) == 1


def test_a_log_without_a_test_click_has_no_rows():
    log = make_log()
    assert rank({"fixed": FixedPolicy([1, 2, 3])}, replace(log, labels=log.labels * 0)).empty


def test_more_slates_than_wanted_are_drawn_by_the_seed():
    log = make_log()
    drawn = draw_rows(log, 7, seed=0)
    assert len(drawn) == 7
    assert (np.diff(drawn.timestamps) > 0).all()
    np.testing.assert_array_equal(drawn.timestamps, draw_rows(log, 7, seed=0).timestamps)
    assert not np.array_equal(drawn.timestamps, draw_rows(log, 7, seed=1).timestamps)
    assert draw_rows(log, 40, seed=0) is log
