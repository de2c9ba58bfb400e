"""Intervals of areas over seeds and differences in pairs, computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.experiments.area_comparisons import area_differences, mean_areas, t_interval


def areas(values: dict[str, dict[int | None, float]], path: str = "frozen") -> pd.DataFrame:
    rows = [
        (policy, seed, "eval", path, value)
        for policy, own in values.items()
        for seed, value in own.items()
    ]
    columns = ["policy", "seed", "simulator", "path", "area_under_regret"]
    return pd.DataFrame(rows, columns=columns).astype({"seed": "Int64"})


def test_a_t_interval_by_hand() -> None:
    # mean 2, deviation 1, t of 2 degrees of freedom 4.302653: 2 -+ 4.302653 / sqrt 3
    low, high = t_interval(np.array([1.0, 2.0, 3.0]))
    assert (low, high) == (pytest.approx(-0.484138, abs=1e-6), pytest.approx(4.484138, abs=1e-6))


def test_equal_runs_have_an_interval_of_no_width() -> None:
    assert t_interval(np.array([2.0, 2.0])) == (2.0, 2.0)


def test_one_run_has_no_interval() -> None:
    assert all(math.isnan(end) for end in t_interval(np.array([2.0])))


def test_means_count_seeds_and_references_have_none() -> None:
    found = mean_areas(areas({"hsrl": {0: 1.0, 1: 2.0, 2: 3.0}, "static_slate": {None: 6.0}}))
    rows = found.set_index("policy")
    assert (rows.loc["hsrl", "n_seeds"], rows.loc["hsrl", "mean"]) == (3, 2.0)
    assert rows.loc["hsrl", "ci_low"] == pytest.approx(-0.484138, abs=1e-6)
    assert (rows.loc["static_slate", "n_seeds"], rows.loc["static_slate", "mean"]) == (0, 6.0)
    assert rows.loc["static_slate", ["ci_low", "ci_high"]].isna().all()


def test_simulators_and_paths_stand_apart() -> None:
    both = pd.concat([areas({"hsrl": {0: 4.0}}), areas({"hsrl": {0: 1.0}}, "updated")])
    other = both.assign(simulator="train", area_under_regret=9.0)
    found = mean_areas(pd.concat([both, other])).set_index(["simulator", "path"])["mean"]
    assert found.to_dict() == {
        ("eval", "frozen"): 4.0,
        ("eval", "updated"): 1.0,
        ("train", "frozen"): 9.0,
        ("train", "updated"): 9.0,
    }


def test_differences_are_in_pairs_of_seeds_that_both_have() -> None:
    values = {"hsrl": {0: 3.0, 1: 4.0, 2: 5.0}, "hsrl_items": {0: 2.0, 1: 2.0, 3: 9.0}}
    found = area_differences(areas(values), "hsrl")
    assert len(found) == 1
    row = found.iloc[0]
    # -1 and -2: mean -1.5, deviation 1 / sqrt 2, t of 1 degree of freedom 12.706205
    assert (row["policy"], row["n_pairs"], row["mean"]) == ("hsrl_items", 2, -1.5)
    assert row["ci_low"] == pytest.approx(-1.5 - 12.706205 / 2, abs=1e-5)
    assert row["ci_high"] == pytest.approx(-1.5 + 12.706205 / 2, abs=1e-5)


def test_pairs_of_one_seed_have_no_interval() -> None:
    row = area_differences(areas({"hsrl": {0: 3.0}, "a2c": {0: 5.0}}), "hsrl").iloc[0]
    assert (row["n_pairs"], row["mean"]) == (1, 2.0)
    assert math.isnan(row["ci_low"])


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"hsrl": {0: 3.0}, "a2c": {1: 5.0}}, "no seed in common"),
        ({"sl": {0: 3.0}, "a2c": {0: 5.0}}, "no baseline"),
        ({"hsrl": {0: 3.0}, "static_slate": {None: 5.0}}, "references have no seed"),
    ],
)
def test_without_pairs_there_is_no_difference(values, why) -> None:
    assert area_differences(areas(values), "hsrl").empty, why
