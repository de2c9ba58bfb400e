"""Measures of runs against hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsrl_pipeline.experiments.measures import (
    difference_p_value,
    holm,
    improvement_interval,
    improvement_probability,
    interquartile_mean,
    interquartile_mean_interval,
)


def array(*values: float) -> np.ndarray:
    return np.asarray(values, dtype=float)


def test_interquartile_mean_leaves_out_a_quarter_at_each_end() -> None:
    assert interquartile_mean([array(100, 1, 2, 3, 4, 5, 6, -100)]) == pytest.approx(3.5)
    # five: one at each end
    assert interquartile_mean([array(0, 1, 2, 3, 99)]) == pytest.approx(2.0)
    # three: none
    assert interquartile_mean([array(0, 3, 9)]) == pytest.approx(4.0)


def test_interquartile_mean_pools_the_runs_of_all_tasks() -> None:
    assert interquartile_mean([array(0, 10), array(2, 4)]) == pytest.approx(3.0)


def test_improvement_is_the_share_of_pairs_won_with_ties_half() -> None:
    # pairs: 1>0, 1<2, 3>0, 3>2, 2>0, 2=2
    assert improvement_probability([array(1, 3, 2)], [array(0, 2)]) == pytest.approx(4.5 / 6)


def test_improvement_over_one_value_counts_the_runs_above_it() -> None:
    assert improvement_probability([array(1, 3, 2)], [array(1.5)]) == pytest.approx(2 / 3)


def test_improvement_weighs_tasks_alike() -> None:
    won, lost = array(5, 6, 7, 8), array(1, 2)
    assert improvement_probability([won, lost], [array(0), array(9)]) == pytest.approx(0.5)


def test_an_interval_of_two_runs_has_its_ends_at_them() -> None:
    # a resample is (0,0), (0,1), (1,0) or (1,1): a quarter of the means is 0, a quarter is 1
    assert interquartile_mean_interval([array(0, 1)], 500, 0) == (0.0, 1.0)


def test_resampling_stays_within_a_task() -> None:
    # within each task all runs are alike, so no resample differs from the sample
    assert interquartile_mean_interval([array(1, 1, 1), array(9, 9, 9)], 200, 0) == (5.0, 5.0)


def test_tasks_may_have_different_numbers_of_runs() -> None:
    # at the extremes (1, 1, 1, 4) and (3, 3, 3, 4), whose middle halves are 1 and 3
    ends = interquartile_mean_interval([array(1, 2, 3), array(4)], 500, 0)
    assert ends == (1.0, 3.0)


def test_one_run_has_no_interval() -> None:
    assert all(math.isnan(end) for end in interquartile_mean_interval([array(1)], 200, 0))


def test_an_improvement_without_overlap_is_certain() -> None:
    assert improvement_interval([array(3, 4)], [array(1, 2)], 200, 0) == (1.0, 1.0)
    assert improvement_interval([array(3, 4)], [array(5)], 200, 0) == (0.0, 0.0)


def test_an_interval_is_the_same_each_time() -> None:
    scores = [array(1, 2, 4, 8, 16)]
    again = interquartile_mean_interval(scores, 300, 7)
    assert interquartile_mean_interval(scores, 300, 7) == again
    assert interquartile_mean_interval(scores, 300, 8) != again


def test_holm_multiplies_the_smallest_by_the_number_of_comparisons() -> None:
    # sorted 0.01 * 3, 0.02 * 2, 0.03 * 1, none below the one before
    corrected = holm(array(0.03, 0.01, 0.02))
    assert corrected == pytest.approx([0.04, 0.03, 0.04])


def test_holm_leaves_out_what_is_not_defined() -> None:
    corrected = holm(array(0.02, math.nan, 0.9))
    assert corrected[[0, 2]] == pytest.approx([0.04, 0.9])
    assert math.isnan(corrected[1])


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_value_and_keeps_the_order(values: list[float]) -> None:
    given_values = np.asarray(values, dtype=float)
    corrected = holm(given_values)
    assert (corrected >= given_values - 1e-12).all()
    assert (corrected <= 1).all()
    order = np.argsort(given_values, kind="stable")
    assert (np.diff(corrected[order]) >= 0).all()


def test_t_against_a_fixed_value() -> None:
    # mean 2, standard deviation 1, t = 2 / (1 / sqrt 3) with 2 degrees of freedom:
    # p = 1 - t / sqrt(t^2 + 2) = 0.0742
    assert difference_p_value(array(1, 2, 3), array(0)) == pytest.approx(0.0742, abs=1e-4)


def test_runs_that_do_not_vary() -> None:
    assert difference_p_value(array(1, 1), array(1, 1)) == 1.0
    assert difference_p_value(array(1, 1), array(2, 2)) == 0.0
    assert math.isnan(difference_p_value(array(1), array(2)))
