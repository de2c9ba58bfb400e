import dataclasses

import numpy as np
import pytest
import torch

from hsrl_pipeline.config.session import CandidatesConfig, SessionConfig
from hsrl_pipeline.evaluation.references import RandomPolicy
from hsrl_pipeline.evaluation.rollouts import evaluate_policy
from hsrl_pipeline.evaluation.session_records import SessionRecords
from hsrl_pipeline.progress import Progress
from hsrl_pipeline.simulator.response.recorded import RecordedResponse
from hsrl_pipeline.simulator.slate_env import SlateSessions

from .conftest import (
    HISTORY,
    N_ITEMS,
    N_USERS,
    SLATE,
    FixedPolicy,
    TableResponse,
    make_setting,
    taste_table,
)


def certain(items):
    """A response that always clicks the given items and never another."""
    table = torch.full((3, N_ITEMS + 1), -torch.inf)
    table[:, items] = torch.inf
    return TableResponse(table)


def test_every_session_is_counted_once_from_start_to_end():
    # Nothing clicked: 3 * 1.2 + 1 = 4.6 a step, so 20 lasts 5 steps at -0.2 each.
    records = evaluate_policy(FixedPolicy([1, 2, 3]), certain([]), make_setting(70))
    assert records.depth.tolist() == [5] * 70
    assert records.total_reward.tolist() == pytest.approx([-1.0] * 70)
    assert records.clicks.tolist() == [0] * 70
    assert records.exposures.tolist() == [0, 350, 350, 350] + [0] * 9
    assert not records.item_clicks.any()


def test_all_clicks_reach_the_ceiling():
    records = evaluate_policy(FixedPolicy([1, 2, 3]), certain([1, 2, 3]), make_setting(10))
    assert records.depth.tolist() == [20] * 10
    assert records.item_clicks.tolist() == [0, 200, 200, 200] + [0] * 9
    assert records.total_reward.tolist() == pytest.approx([20.0] * 10)


def test_reward_and_depth_account_for_the_patience_spent():
    records = evaluate_policy(FixedPolicy([1, 7, 2]), TableResponse(taste_table()), make_setting())
    spent = SLATE * (records.depth - records.total_reward) + records.depth
    # Everyone ended with less than 1 of 20 and lost at most 3 * 1.2 + 1 in the last step.
    assert (spent > 19.0).all()
    assert (spent <= 19.0 + 4.6 + 1e-9).all()


def test_short_sessions_weigh_no_more_than_long_ones():
    """Category 1 is never bored, category 2 never pleased: half of each must be counted."""
    table = torch.full((3, N_ITEMS + 1), -torch.inf)
    table[1] = torch.inf
    setting = make_setting(2000, batch_size=100)
    records = evaluate_policy(FixedPolicy([1, 2, 3]), TableResponse(table), setting)
    share_long = (records.depth == 20).mean()
    assert set(records.depth.tolist()) == {5, 20}
    assert share_long == pytest.approx(0.5, abs=0.05)
    assert ((records.depth == 20) == (records.users % 2 == 1)).all()


def test_users_and_draws_are_common_to_all_policies():
    setting = make_setting()
    response = TableResponse(taste_table())
    one = evaluate_policy(FixedPolicy([1, 2, 8]), response, setting)
    same = evaluate_policy(FixedPolicy([1, 2, 8]), response, setting)
    other = evaluate_policy(FixedPolicy([1, 2, 9]), response, setting)
    assert np.array_equal(one.users, other.users)
    np.testing.assert_array_equal(one.rewards, same.rewards)
    # Items 8 and 9 are alike for everyone, so common draws give the very same sessions.
    np.testing.assert_array_equal(one.rewards, other.rewards)


def test_more_likely_clicks_never_lower_a_session_under_common_draws():
    setting = make_setting(300)
    table = taste_table()
    worse = evaluate_policy(FixedPolicy([1, 2, 3]), TableResponse(table), setting)
    better = evaluate_policy(FixedPolicy([1, 2, 3]), TableResponse(table + 0.5), setting)
    assert (better.total_reward >= worse.total_reward - 1e-12).all()
    assert better.total_reward.mean() > worse.total_reward.mean()


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_results_do_not_depend_on_the_batch_size(batch_size):
    response = TableResponse(taste_table(), boredom=1.0)
    expected = evaluate_policy(FixedPolicy([1, 7, 4]), response, make_setting(50))
    records = evaluate_policy(
        FixedPolicy([1, 7, 4]), response, make_setting(50, batch_size=batch_size)
    )
    np.testing.assert_array_equal(records.rewards, expected.rewards)
    np.testing.assert_array_equal(records.exposures, expected.exposures)


@pytest.mark.parametrize("threads", [2, 3])
def test_results_do_not_depend_on_the_number_of_cores(threads):
    response = TableResponse(taste_table(), boredom=1.0)
    setting = make_setting(50, batch_size=7)
    before = torch.get_num_threads()
    records = []
    try:
        for count in (1, threads):
            torch.set_num_threads(count)
            records.append(evaluate_policy(FixedPolicy([1, 7, 4]), response, setting))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    for field in dataclasses.fields(SessionRecords):
        one, many = (getattr(found, field.name) for found in records)
        np.testing.assert_array_equal(one, many)


def test_a_broken_batch_ends_the_evaluation():
    with pytest.raises(ValueError, match="appears earlier in the same slate"):
        evaluate_policy(FixedPolicy([1, 1, 4]), certain([]), make_setting(50, batch_size=7))


def test_fewer_episodes_are_the_first_of_more():
    response = TableResponse(taste_table())
    many = evaluate_policy(FixedPolicy([1, 7, 4]), response, make_setting(150))
    few = evaluate_policy(FixedPolicy([1, 7, 4]), response, make_setting(40))
    np.testing.assert_array_equal(few.rewards, many.rewards[:40])


def test_the_mean_agrees_with_the_training_environment():
    """Two independent implementations of many sessions: refilled and followed to the end."""
    response = TableResponse(taste_table(), boredom=0.5)
    setting = make_setting(4000, batch_size=2000)
    records = evaluate_policy(FixedPolicy([1, 7, 4]), response, setting)
    sessions = SlateSessions(
        response,
        setting.pool,
        setting.sessions,
        batch_size=2000,
        seed=3,
    )
    slates = torch.tensor([[1, 7, 4]]).expand(2000, -1).contiguous()
    running, total, first = torch.ones(2000, dtype=torch.bool), torch.zeros(2000), []
    for _ in range(20):
        result = sessions.step(slates)
        total += result.reward * running
        running &= ~(result.terminated | result.truncated)
        first.append(float(running.float().mean()))
    assert float(total.mean()) == pytest.approx(records.total_reward.mean(), abs=0.12)
    assert 1 + sum(first) == pytest.approx(records.depth.mean(), abs=0.12)


def test_the_policy_sees_the_history_it_caused_and_the_step():
    policy = FixedPolicy([1, 2, 3])
    setting = make_setting(1, session=SessionConfig(horizon=3, history_size=HISTORY))
    evaluate_policy(policy, certain([1, 3]), setting)
    start = policy.seen[0].history[0].tolist()
    assert [int(seen.step) for seen in policy.seen] == [0, 1, 2]
    assert policy.seen[1].history[0].tolist() == [*start, 1, 3][-HISTORY:]
    assert policy.seen[2].history[0].tolist() == [1, 3, 1, 3]


def test_repetition_counts_items_already_shown_in_the_session():
    records = evaluate_policy(FixedPolicy([1, 2, 3]), certain([]), make_setting(5))
    assert records.repeated.tolist() == [12] * 5  # 5 slates of 3, the first was new


def test_excluded_items_never_come_back(selector):
    setting = make_setting(
        40,
        session=SessionConfig(horizon=4, history_size=HISTORY),
        candidates=CandidatesConfig(exclude_shown=True),
    )
    records = evaluate_policy(RandomPolicy(selector, N_ITEMS), certain([]), setting)
    assert records.repeated.sum() == 0
    with pytest.raises(ValueError, match="already shown"):
        evaluate_policy(FixedPolicy([1, 2, 3]), certain([]), setting)


def test_similarity_is_the_mean_over_the_pairs_of_a_slate():
    vectors = np.zeros((N_ITEMS + 1, 2))
    vectors[1], vectors[2], vectors[3] = (2.0, 0.0), (0.0, 5.0), (1.0, 1.0)
    setting = make_setting(
        3, item_vectors=vectors, session=SessionConfig(horizon=1, history_size=HISTORY)
    )
    records = evaluate_policy(FixedPolicy([1, 2, 3]), certain([]), setting)
    # Pairs: 0, 1/sqrt(2), 1/sqrt(2).
    assert records.similarity.tolist() == pytest.approx([2 / np.sqrt(2) / 3] * 3, abs=1e-6)


def test_a_policy_that_breaks_a_rule_is_refused():
    with pytest.raises(ValueError, match=r"slates\[0, 1\] is 1, which appears earlier"):
        evaluate_policy(FixedPolicy([1, 1, 3]), certain([]), make_setting(5))


def test_progress_counts_sessions():
    with Progress("Evaluating", total=50) as progress:
        evaluate_policy(FixedPolicy([1, 2, 3]), certain([]), make_setting(50), progress)
        assert progress._completed == 50


def test_recorded_answers_know_the_user_and_the_policy_does_not():
    answers = torch.zeros((N_USERS, N_ITEMS + 1), dtype=torch.int8)
    answers[::2, 1:4] = 1  # users with odd numbers like the items 1 to 3, the others nothing
    judge = RecordedResponse(answers, torch.arange(1, N_USERS + 1), HISTORY).freeze()
    policy = FixedPolicy([1, 2, 3])
    setting = make_setting(n_episodes=40)
    records = evaluate_policy(policy, judge, setting)
    assert (records.clicks > 0).tolist() == (records.users % 2 == 1).tolist()
    widths = {observation.user_dense.shape[1] for observation in policy.seen}
    assert widths == {setting.pool.user_dense.shape[1]}
