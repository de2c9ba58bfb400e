import numpy as np
import pytest

from hsrl_pipeline.evaluation.bootstrap import bootstrap_intervals


def test_interval_of_a_normal_mean_is_the_textbook_one():
    values = np.random.default_rng(1).normal(3.0, 2.0, size=(4000, 1))
    low, high = bootstrap_intervals(values, 2000, seed=0)[0]
    half = 1.96 * values.std() / np.sqrt(4000)
    assert low == pytest.approx(values.mean() - half, abs=0.006)
    assert high == pytest.approx(values.mean() + half, abs=0.006)


def test_constants_have_no_width():
    intervals = bootstrap_intervals(np.full((50, 1), 1.25), 150, seed=0)
    np.testing.assert_allclose(intervals, [[1.25, 1.25]], atol=1e-12)


def test_columns_are_resampled_together_and_independent_of_each_other():
    values = np.random.default_rng(2).normal(size=(300, 2))
    both = bootstrap_intervals(values, 250, seed=4)
    alone = bootstrap_intervals(values[:, 1:], 250, seed=4)
    np.testing.assert_array_equal(both[1:], alone)
    shifted = bootstrap_intervals(np.hstack([values, values + 1.0]), 250, seed=4)
    np.testing.assert_allclose(shifted[2:], shifted[:2] + 1.0, atol=1e-12)


def test_same_seed_same_digits_and_other_seed_others():
    values = np.random.default_rng(3).normal(size=(100, 1))
    one = bootstrap_intervals(values, 300, seed=1)
    np.testing.assert_array_equal(one, bootstrap_intervals(values, 300, seed=1))
    assert not np.array_equal(one, bootstrap_intervals(values, 300, seed=2))


def test_intervals_cover_the_truth_about_95_times_in_100():
    generator = np.random.default_rng(5)
    covered = 0
    for seed in range(200):
        low, high = bootstrap_intervals(generator.normal(size=(60, 1)), 200, seed)[0]
        covered += low <= 0.0 <= high
    assert 0.89 <= covered / 200 <= 0.99
