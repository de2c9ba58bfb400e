import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.evaluation.comparison import paired_differences, train_eval_gap


def make_sessions(
    policy,
    rewards,
    *,
    seed=0,
    simulator="eval",
    regime="repeats",
    version="a",
    simulator_version="s",
):
    return pd.DataFrame(
        {
            "policy": policy,
            "seed": seed,
            "simulator": simulator,
            "regime": regime,
            "episode": np.arange(len(rewards)),
            "sessions_version": version,
            "simulator_version": simulator_version,
            "total_reward": rewards,
            "depth": np.asarray(rewards) * 2,
        }
    )


def test_differences_are_paired_session_by_session():
    base = np.random.default_rng(0).normal(5.0, 3.0, 400)
    gain = np.random.default_rng(1).normal(0.2, 0.1, 400)
    sessions = pd.concat(
        [make_sessions("static_slate", base), make_sessions("hsrl", base + gain).iloc[::-1]]
    )
    row = paired_differences(sessions, "static_slate", 500, seed=0).iloc[0]
    assert row["policy"] == "hsrl"
    assert row["compared_with"] == "static_slate"
    assert row["n_episodes"] == 400
    assert row["total_reward_difference"] == pytest.approx(gain.mean())
    # The spread of the sessions themselves (3.0) would give an interval thirty times as wide.
    half = 1.96 * gain.std() / 20
    assert row["total_reward_difference_ci_low"] == pytest.approx(gain.mean() - half, abs=0.002)
    assert row["total_reward_difference_ci_high"] == pytest.approx(gain.mean() + half, abs=0.002)
    assert row["depth_difference"] == pytest.approx(2 * gain.mean())
    assert row["win_rate"] == pytest.approx((gain > 0).mean())


def test_each_seed_meets_its_own_partner_or_the_lowest():
    sessions = pd.concat(
        [
            make_sessions("sl", [1.0, 1.0], seed=1),
            make_sessions("sl", [2.0, 2.0], seed=2),
            make_sessions("hsrl", [5.0, 5.0], seed=2),
            make_sessions("hsrl", [5.0, 5.0], seed=7),
        ]
    )
    table = paired_differences(sessions, "sl", 100, seed=0).set_index("seed")
    assert table.loc[2, "total_reward_difference"] == 3.0
    assert table.loc[7, "total_reward_difference"] == 4.0
    assert table.loc[7, "compared_seed"] == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"version": "b"},
        {"simulator_version": "t"},
        {"simulator": "train"},
        {"regime": "no_repeats"},
    ],
)
def test_sessions_that_differ_are_not_compared(odd):
    sessions = pd.concat(
        [make_sessions("sl", [1.0, 2.0]), make_sessions("hsrl", [1.0, 2.0], **odd)]
    )
    table = paired_differences(sessions, "sl", 100, seed=0)
    assert table.empty
    assert "win_rate" in table.columns


def test_a_policy_that_was_not_evaluated_is_refused_with_a_remedy():
    with pytest.raises(UserError, match=r"'td3' was not evaluated.*agent.name=td3"):
        paired_differences(make_sessions("sl", [1.0, 2.0]), "td3", 100, seed=0)


def test_gap_is_training_minus_evaluation_reward():
    sessions = pd.concat(
        [
            make_sessions("hsrl", [3.0, 5.0], simulator="train", simulator_version="s"),
            make_sessions("hsrl", [2.0, 3.0], simulator="eval", simulator_version="t"),
            make_sessions("sl", [2.0, 3.0], simulator="eval"),
        ]
    )
    table = train_eval_gap(sessions, 200, seed=0)
    assert table["policy"].tolist() == ["hsrl"]
    assert table["gap"].tolist() == [1.5]
    assert table[["train_total_reward", "eval_total_reward"]].to_numpy().tolist() == [[4.0, 2.5]]
    assert table["gap_ci_low"].iloc[0] >= 1.0
    assert table["gap_ci_high"].iloc[0] <= 2.0


def test_regimes_stand_side_by_side_and_the_one_without_repeats_first():
    sessions = pd.concat(
        [
            make_sessions(policy, [reward, reward], regime=regime, simulator=simulator)
            for policy, reward in (("sl", 1.0), ("hsrl", 3.0))
            for regime in ("repeats", "no_repeats")
            for simulator in ("train", "eval")
        ]
    )
    table = paired_differences(sessions, "sl", 100, seed=0).query("simulator == 'eval'")
    assert table["regime"].tolist() == ["no_repeats", "repeats"]
    assert table["total_reward_difference"].tolist() == [2.0, 2.0]
    gaps = train_eval_gap(sessions, 100, seed=0)
    assert gaps["regime"].tolist() == ["no_repeats", "repeats"] * 2
