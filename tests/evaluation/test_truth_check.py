from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from hsrl_pipeline.config.session import SessionConfig
from hsrl_pipeline.data.synthetic_truth import SyntheticTruth, true_click_probabilities
from hsrl_pipeline.evaluation.kept_rollouts import NOTHING_KEPT, KeptRollouts
from hsrl_pipeline.evaluation.references import RandomPolicy
from hsrl_pipeline.evaluation.truth_check import (
    ORACLE,
    TrueResponse,
    identify_users,
    rank_agreement,
    roll_out_on_truth,
    share_found,
    truth_table,
)

from .conftest import HISTORY, N_ITEMS, N_USERS, FixedPolicy, make_pool, make_setting


@pytest.fixture
def truth():
    """User 1 loves items 1 to 3, user 2 items 4 to 6, all others item 7 a little."""
    tastes = np.zeros((N_USERS + 1, 3), np.float32)
    tastes[1], tastes[2], tastes[3:] = (1, 0, 0), (0, 1, 0), (0, 0, 1)
    profiles = np.zeros((N_ITEMS + 1, 3), np.float32)
    profiles[1:4], profiles[4:7], profiles[7] = (1, 0, 0), (0, 1, 0), (0, 0, 0.5)
    return SyntheticTruth(
        tastes=tastes,
        profiles=profiles,
        quality=np.linspace(0, 0.1, N_ITEMS + 1, dtype=np.float32),
        mood=np.linspace(-0.2, 0.2, N_USERS + 1, dtype=np.float32),
        bias=-2.0,
        strength=5.0,
    )


def on_truth(policies, truth, selector, setting):
    makers = {policy.name: lambda policy=policy: policy for policy in policies}
    return roll_out_on_truth(
        makers, truth, selector, setting, KeptRollouts(NOTHING_KEPT, (), "nothing")
    )


def test_true_probabilities_are_those_of_each_observations_user(truth):
    pool = identify_users(make_pool())
    rows = torch.tensor([3, 0, 11])
    slates = torch.tensor([[1, 4, 7], [2, 5, 8], [9, 7, 1]])
    response = TrueResponse(truth)
    found = response.probabilities(pool.observation(rows), slates)
    expected = true_click_probabilities(truth, pool.users[rows], slates)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_policies_do_not_see_who_the_user_is(truth, selector):
    policy = FixedPolicy([1, 2, 3])
    on_truth([policy], truth, selector, make_setting(20))
    assert all(seen.user_dense.shape[1] == 0 for seen in policy.seen)


def test_a_policy_that_must_know_the_user_is_told_the_number(truth, selector):
    policy = FixedPolicy([1, 2, 3])
    policy.identified = True
    on_truth([policy], truth, selector, make_setting(20))
    assert all(seen.user_dense.shape[1] == 1 for seen in policy.seen)


def test_newcomers_go_by_their_own_number_with_policies_and_by_their_index_in_truth(
    truth, selector
):
    policy = FixedPolicy([1, 2, 3])
    policy.identified = True
    setting = make_setting(200)
    before = on_truth([policy], truth, selector, setting)
    policy.seen.clear()
    numbers = 100 + torch.arange(N_USERS)
    met = replace(setting, pool=replace(setting.pool, numbers=numbers))
    after = on_truth([policy], truth, selector, met)
    assert policy.seen[0].user_dense[:, 0].tolist() == (99 + after["fixed"].users).tolist()
    for name, record in before.items():
        assert np.array_equal(record.rewards, after[name].rewards, equal_nan=True)


def test_the_oracle_is_the_ceiling(truth, selector):
    setting = make_setting(300, session=SessionConfig(history_size=HISTORY))
    policies = [RandomPolicy(selector, N_ITEMS), FixedPolicy([1, 2, 3])]
    records = on_truth(policies, truth, selector, setting)
    reward = {name: record.total_reward.mean() for name, record in records.items()}
    assert reward[ORACLE] > max(reward["random"], reward["fixed"]) + 0.5
    assert np.array_equal(records[ORACLE].users, records["fixed"].users)


def test_ranks_are_of_the_policies_without_the_oracle(truth, selector):
    setting = make_setting(200)
    policies = [RandomPolicy(selector, N_ITEMS), FixedPolicy([1, 2, 3])]
    records = on_truth(policies, truth, selector, setting)
    simulated = {
        (policy, simulator): records[policy if simulator == "train" else other]
        for policy, other in (("random", "fixed"), ("fixed", "random"))
        for simulator in ("train", "eval")
    }
    table = truth_table(records, simulated, seed=3, n_resamples=100, bootstrap_seed=0)
    ranks = table.set_index("policy")
    assert pd.isna(ranks.loc[ORACLE, "true_rank"])
    assert (ranks["true_rank"] == ranks["train_rank"])[["random", "fixed"]].all()
    assert (ranks["true_rank"] + ranks["eval_rank"])[["random", "fixed"]].tolist() == [3.0, 3.0]
    assert (table["true_total_reward_ci_low"] <= table["true_total_reward"]).all()
    assert rank_agreement(table) == -1.0


def test_agreement_counts_pairs_in_the_same_order():
    table = pd.DataFrame({"true_rank": [1, 2, 3, np.nan], "eval_rank": [1, 3, 2, np.nan]})
    assert rank_agreement(table) == pytest.approx(1 / 3)
    assert np.isnan(rank_agreement(table.iloc[:1]))


def test_share_found_is_the_way_from_one_policy_to_the_oracle():
    earned = {"static_slate": [1.0, 3.0], "greedy": [4.0, 6.0], ORACLE: [5.0, 7.0]}
    records = {name: SimpleNamespace(total_reward=np.array(v)) for name, v in earned.items()}
    shares = share_found(records, "static_slate", "greedy", 50, 0)
    assert shares == pytest.approx((0.75, 0.75, 0.75))  # 3 of 4 in every session
    records[ORACLE] = records["static_slate"]
    assert np.isnan(share_found(records, "static_slate", "greedy", 50, 0)).all()


def test_in_a_small_world_the_oracle_has_found_everything_and_chance_less(truth, selector):
    policies = [FixedPolicy([7, 8, 9]), RandomPolicy(selector, N_ITEMS)]
    records = on_truth(policies, truth, selector, make_setting(300))
    assert share_found(records, "fixed", ORACLE, 100, 0) == pytest.approx((1.0, 1.0, 1.0))
    share, low, high = share_found(records, "fixed", "random", 100, 0)
    assert low < share < high < 0.9


def test_unknown_truth_gives_no_rows():
    table = truth_table({}, {}, seed=0, n_resamples=100, bootstrap_seed=0)
    assert table.empty
    assert "true_rank" in table.columns
