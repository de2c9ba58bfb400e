"""Area under regret, recovery and paired differences, by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.evaluation.regret import area_differences, area_under_regret, recovery


def test_regret_is_averaged_over_updates_and_added_over_changes() -> None:
    regret = {
        (0, 0): np.array([9.0, 9.0]),  # the launch does not count
        (1, 0): np.array([2.0, 0.0]),
        (1, 10): np.array([1.0, 0.0]),
        (1, 40): np.array([0.0, 4.0]),
        (2, 0): np.array([3.0, 1.0]),
        (3, 10): np.array([2.0, 0.0]),
        (3, 30): np.array([4.0, 1.0]),
    }
    # session 1: (10 * 1.5 + 30 * 0.5) / 40 + 3 + 3; session 2: (0 + 30 * 2) / 40 + 1 + 0.5
    np.testing.assert_allclose(area_under_regret(regret), [6.75, 3.0])


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({0: 0.59, 50: 0.5}, 0),
        ({0: 0.7, 50: 0.61, 100: 0.6}, 100),
        ({0: 0.7, 50: 0.65}, math.nan),
    ],
)
def test_a_policy_recovers_when_regret_is_back_within_a_tenth(after, expected) -> None:
    found = recovery(0.5, after)
    assert found["censored_at"] == max(after)
    np.testing.assert_equal(found["recovery_updates"], expected)


def test_differences_pair_sessions_of_the_same_schedule_alone() -> None:
    def areas(policy, values, schedule="a"):
        table = pd.DataFrame({"episode": range(len(values)), "area": values})
        return table.assign(
            policy=policy,
            seed=0,
            simulator="eval",
            regime="repeats",
            arm="both",
            path="frozen",
            schedule_version=schedule,
            sessions_version="s",
        )

    sessions = pd.concat(
        [
            areas("hsrl", [1.0, 2.0, 3.0]),
            areas("hsrl_items", [2.0, 3.0, 4.0]),
            areas("sl", [0.0, 0.0, 0.0], schedule="b"),
        ]
    )
    (row,) = area_differences(sessions, 200, 0).to_dict("records")
    assert (row["policy"], row["other"]) == ("hsrl", "hsrl_items")
    # every session differs by exactly 1, so the paired interval has no width
    figures = [row["difference"], row["difference_ci_low"], row["difference_ci_high"]]
    np.testing.assert_allclose(figures, -1.0)
    assert len(area_differences(sessions[sessions["policy"] == "sl"], 200, 0)) == 0
