"""Policies on a log whose propensities are known."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from hsrl_pipeline.agents.base import Action
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.evaluation.log_tables import log_metrics
from hsrl_pipeline.evaluation.off_policy_table import off_policy_table
from hsrl_pipeline.evaluation.propensity_log import propensity_logs

from .conftest import N_ITEMS, SLATE, FixedPolicy, TableResponse, make_setting, taste_table
from .log_inputs import N_USERS, make_data, make_log

SETTINGS = EvaluationConfig(
    n_episodes=2, n_resamples=100, device="cpu", batch_size=16, off_policy_draws=20
)


class Agent(FixedPolicy):
    """Shows one slate, and any slate while it explores."""

    def act(self, observation, *, explore, generator=None):
        if not explore:
            return super().act(observation, explore=False)
        scores = torch.rand((observation.batch_size, N_ITEMS), generator=generator)
        slates = scores.topk(SLATE).indices + 1
        return Action(slates, torch.zeros(len(slates), 0), torch.zeros(len(slates)))


def estimate(log, policies, pairs=None, evaluation=SETTINGS):
    makers = {name: lambda policy=policy: policy for name, policy in policies.items()}
    return off_policy_table(
        makers,
        next(iter(policies)),
        TableResponse(taste_table()),
        pairs,
        data=make_data(log),
        sessions=make_setting().sessions,
        evaluation=evaluation,
        seed=0,
    )


def pairs_of(log, propensity=0.25):
    """Return the same propensity for every user and item."""
    users, items = np.meshgrid(np.arange(1, N_USERS + 1), np.arange(1, N_ITEMS + 1))
    return pd.DataFrame(
        {
            "user_index": users.ravel().astype(np.int32),
            "item_index": items.ravel().astype(np.int32),
            "propensity": np.float32(propensity),
        }
    )


def test_estimates_on_test_slots_by_hand():
    log = make_log()
    table = estimate(log, {"agent": Agent([1, 2, 9])})
    row = table.query("acting == 'greedy' and estimator == 'ips'").iloc[0]
    test = log.test
    agrees = np.isin(test.slates, [1, 2, 9])
    assert row.log_part == "test_slots"
    # an item that is shown takes one of three slots, and the log showed one of twelve
    expected = test.labels[agrees].sum() * N_ITEMS / SLATE / test.labels.size
    assert row.value == pytest.approx(expected)
    assert row.n_agreeing == agrees.sum()
    assert row.effective_sample_size == pytest.approx(agrees.sum())
    assert row.largest_weight == pytest.approx(N_ITEMS / SLATE)


def test_the_direct_estimate_is_the_models_click_rate_of_the_slates():
    table = estimate(make_log(), {"agent": Agent([1, 2, 9])})
    value = table.query("acting == 'greedy' and estimator == 'direct'").value.iloc[0]
    probabilities = torch.sigmoid(taste_table()[:, [1, 2, 9]]).mean(dim=1)
    categories = 1 + make_log().test.users % 2
    assert value == pytest.approx(float(probabilities[categories].mean()))


def test_an_exploring_policy_agrees_everywhere_and_is_estimated_well():
    # uniform slates click for half of all items
    log = make_log(n_rows=4000)
    table = estimate(log, {"agent": Agent([1, 2, 9])})
    exploring = table[table.acting == "exploring"].set_index("estimator")
    for name in ("ips", "snips", "doubly_robust"):
        assert exploring.value[name] == pytest.approx(0.5, abs=0.04)
        assert exploring.ci_low[name] <= exploring.value[name] <= exploring.ci_high[name]
    greedy = table[table.acting == "greedy"].set_index("estimator")
    # two of three items please one half of the users, the third the other half
    assert greedy.value["snips"] == pytest.approx(0.5, abs=0.06)
    assert exploring.effective_sample_size["ips"] > 2 * greedy.effective_sample_size["ips"]


def test_estimates_on_training_pairs_by_hand():
    log = replace(make_log(), propensities=None)
    table = estimate(log, {"agent": Agent([1, 2, 9])}, pairs_of(log))
    row = table.query("acting == 'greedy' and estimator == 'ips'").iloc[0]
    assert row.log_part == "training_pairs"
    train = log.train
    pairs = {
        (user, item): label
        for user, items, labels in zip(train.users, train.slates, train.labels, strict=True)
        for item, label in zip(items, labels, strict=True)
    }
    total = sum(label for (_, item), label in pairs.items() if item in (1, 2, 9))
    assert row.value == pytest.approx(total * (1 / 3) / 0.25 / N_USERS)
    assert row.n_events == len(pairs)
    assert row.n_users == N_USERS


def test_people_without_propensities_are_no_round_and_the_first_answer_counts():
    log = replace(make_log(), propensities=None)
    slates, labels = log.slates.copy(), log.labels.copy()
    slates[[0, 6], 0] = 12  # user 1 is shown item 12 twice
    slates[[0, 6], 1:] = [[1, 2], [3, 4]]
    labels[[0, 6], 0] = [1, 0]
    log = replace(log, slates=slates, labels=labels)
    pairs = pairs_of(log).query("user_index in (1, 4)")
    part = propensity_logs(log, pairs, most=100, seed=0)[0]
    assert part.rounds.users.tolist() == [1, 4]
    assert part.rounds.timestamps.tolist() == [0, 3]
    own = part.events == 0
    assert part.clicks[own & (part.items == 12)].tolist() == [1.0]
    assert (np.diff(part.events) >= 0).all()
    assert [part.name for part in propensity_logs(log, pairs, most=1, seed=0)] == ["training_pairs"]
    assert len(propensity_logs(log, pairs, most=1, seed=0)[0].rounds) == 1


def test_slates_with_an_unknown_propensity_are_left_out():
    log = make_log()
    log.propensities[-1, 0] = np.nan
    part = propensity_logs(log, None, most=100, seed=0)[0]
    assert len(part.rounds) == 9
    assert len(part.items) == 27


def test_a_log_without_propensities_says_so_in_one_sentence(caplog):
    log = replace(make_log(), propensities=None)
    with caplog.at_level(logging.INFO):
        assert estimate(log, {"agent": Agent([1, 2, 9])}).empty
    assert "No off-policy estimates: the log of small has no propensities" in caplog.text


def test_batches_change_nothing_for_a_policy_that_does_not_draw():
    tables = [
        estimate(
            make_log(),
            {"agent": Agent([1, 2, 9])},
            evaluation=SETTINGS.model_copy(update={"batch_size": size}),
        ).query("acting == 'greedy'")
        for size in (3, 100)
    ]
    pd.testing.assert_frame_equal(*tables)


def test_tracked_figures_are_the_agents_own():
    log = make_log()
    table = estimate(log, {"agent": Agent([1, 2, 9])}, pairs_of(log))
    ranking = pd.DataFrame({"policy": ["agent"], "recall": [0.25], "ndcg": [0.5]})
    figures = log_metrics(ranking, table, "agent")
    own = table.query("acting == 'greedy' and log_part == 'training_pairs'").set_index("estimator")
    assert len(own) == 4
    slots = table.query("acting == 'greedy' and log_part == 'test_slots'").set_index("estimator")
    assert figures == {
        "recall_at_k": 0.25,
        "ndcg_at_k": 0.5,
        "off_policy_ips": slots.value["ips"],
        "off_policy_snips": slots.value["snips"],
        "off_policy_doubly_robust": slots.value["doubly_robust"],
        "off_policy_effective_sample_size": slots.effective_sample_size["ips"],
    }
