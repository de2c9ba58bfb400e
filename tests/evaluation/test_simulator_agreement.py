import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.evaluation.simulator_agreement import (
    agreement_metrics,
    rank_correlation,
    simulator_agreement,
)

from .test_comparison import make_sessions


def on_both(policy, train, judged, **keys):
    """Return the sessions of one policy on both simulators, two of each, alike."""
    versions = {"train": "t", "eval": "e"} | keys.pop("versions", {})
    return pd.concat(
        [
            make_sessions(
                policy,
                np.full(2, reward),
                simulator=name,
                simulator_version=versions[name],
                **keys,
            )
            for name, reward in (("train", train), ("eval", judged))
        ]
    )


FOUR = [on_both("hsrl", 4, 4), on_both("sl", 3, 2), on_both("a2c", 2, 3), on_both("random", 1, 1)]


def agreement(sessions, run=None):
    together = pd.concat(sessions)
    return simulator_agreement(together, together if run is None else run, 50, seed=0)


def test_tau_by_hand():
    # Of six pairs of policies, sl and a2c alone are in another order: (5 - 1) / 6. Of the three
    # pairs of agents it is one: (2 - 1) / 3.
    table = agreement(FOUR)
    assert table["policies"].tolist() == ["all", "agents"]
    assert table["n_policies"].tolist() == [4, 3]
    assert table["kendall_tau"].tolist() == pytest.approx([4 / 6, 1 / 3])
    assert table["kendall_tau_ci_low"].tolist() == pytest.approx([4 / 6, 1 / 3])
    assert agreement_metrics(table)["simulator_agreement_agents_kendall_tau"] == pytest.approx(
        1 / 3
    )


def test_ties_count_as_tau_b_has_it():
    # Five pairs in the same order; the sixth is tied in one table: 5 / sqrt(5 x 6). A difference
    # that is rounding alone is a tie.
    one, other = np.array([[1.0, 2.0, 2.0 + 1e-13, 3.0]]), np.array([[1.0, 2.0, 3.0, 4.0]])
    tau, *_ = rank_correlation(one, other, 10, seed=0)
    assert tau == pytest.approx(5 / np.sqrt(30))
    assert np.isnan(rank_correlation(one, np.ones((1, 4)), 10, seed=0)).all()


def test_the_interval_resamples_sessions_of_both_simulators_together():
    # The first policy leads by 1 in most sessions and trails by 2 in the others, on both
    # simulators alike: whatever is picked, the order is the same on both, up to ties.
    lead = np.where(np.arange(60) % 3 == 0, -2.0, 1.0) + 0.01
    table = np.column_stack([lead, np.zeros(60)])
    assert rank_correlation(table, table, 200, seed=0) == pytest.approx((1.0, 1.0, 1.0))
    # Against a judge who always sees it in front, the order is often the other way.
    tau, low, high = rank_correlation(table, table * 0.0 + [1.0, 0.0], 200, seed=0)
    assert (tau, low, high) == (1.0, -1.0, 1.0)


def test_seeds_of_an_agent_are_policies_and_a_reference_is_one():
    again = [on_both("random", 1, 1, seed=1), on_both("sl", 2.5, 3.5, seed=1)]
    table = agreement(FOUR + again)
    assert table["n_policies"].tolist() == [5, 4]


def test_only_what_was_judged_by_the_simulators_of_this_run_counts():
    run = FOUR[0]
    others = [
        on_both("td3", 9, 0, versions={"train": "older"}),
        on_both("ddpg", 9, 0, regime="no_repeats", version="b"),
        on_both("hac", 8, 1, regime="no_repeats", version="b"),
        make_sessions("pg_ra", np.ones(2), simulator="eval", simulator_version="e"),
    ]
    table = agreement(FOUR + others, run).set_index(["regime", "policies"])
    assert table.loc[("repeats", "all"), "n_policies"] == 4
    assert table.loc[("no_repeats", "all"), "kendall_tau"] == pytest.approx(-1.0)
    assert table["current"].to_dict() == {
        ("no_repeats", "all"): False,
        ("no_repeats", "agents"): False,
        ("repeats", "all"): True,
        ("repeats", "agents"): True,
    }
    assert set(agreement_metrics(table.reset_index())) == {
        f"simulator_agreement_{policies}_kendall_tau{end}"
        for policies in ("all", "agents")
        for end in ("", "_ci_low", "_ci_high")
    }


def test_policies_with_other_numbers_of_sessions_are_not_mixed():
    longer = [pd.concat([part, part.assign(episode=part["episode"] + 2)]) for part in FOUR[:3]]
    longer = [part.assign(policy=part["policy"] + "_longer") for part in longer]
    table = agreement(FOUR + longer).set_index(["n_episodes", "policies"])
    assert table["n_policies"].to_dict() == {(2, "all"): 4, (2, "agents"): 3} | {
        (4, "all"): 3,
        (4, "agents"): 3,
    }
    assert table.loc[(4, "all"), "kendall_tau"] == pytest.approx(1 / 3)


def test_one_policy_has_no_order():
    assert agreement(FOUR[:1]).empty
