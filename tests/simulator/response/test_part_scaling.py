import numpy as np
import pytest

from hsrl_pipeline.simulator.response.calibration import PlattScaling
from hsrl_pipeline.simulator.response.fidelity_metrics import sigmoid
from hsrl_pipeline.simulator.response.part_scaling import (
    fit_part_scales,
    fit_platt_scaling_beside,
    slope_of_part,
)


def noisy_parts():
    """Return a rest, two parts that are twice and half of what is true, and clicks."""
    rng = np.random.default_rng(1)
    rest, first, second = rng.normal(size=(3, 200_000))
    labels = rng.random(rest.shape) < sigmoid(rest + 0.5 * first + 2.0 * second + 0.3)
    return rest, np.stack([first, second], axis=-1), labels.astype(np.int8)


def test_every_part_gets_its_own_scale():
    rest, parts, labels = noisy_parts()
    scales, shift = fit_part_scales(rest, parts, labels)
    assert scales == pytest.approx([0.5, 2.0], abs=0.03)
    assert shift == pytest.approx(0.3, abs=0.03)


def test_a_part_that_misleads_counts_nothing():
    rest, parts, labels = noisy_parts()
    scales, _ = fit_part_scales(rest, -parts, labels)
    assert scales.tolist() == [0.0, 0.0]


def test_without_rows_that_tell_scales_stay_at_one():
    scales, _ = fit_part_scales(np.zeros(2), np.full((2, 1), 1e-6), np.array([0, 1], np.int8))
    assert scales == pytest.approx([1.0])


def test_a_part_twice_too_sure_has_half_the_slope():
    rest, parts, labels = noisy_parts()
    other = rest + 2.0 * parts[:, 1]
    assert slope_of_part(other, parts[:, 0], labels) == pytest.approx(0.5, abs=0.03)
    assert np.isnan(slope_of_part(other, np.zeros_like(other), labels))
    assert np.isnan(slope_of_part(other, parts[:, 0], np.zeros_like(labels)))


def test_weights_count_answers_in_the_slope():
    # At log-odds of -1 and 1, weighted click rates of 1/4 and 3/4 lie at log-odds of -ln 3, ln 3.
    part, labels = np.array([-1.0, -1.0, 1.0, 1.0]), np.array([1, 0, 1, 0], np.int8)
    weights = np.array([1.0, 3.0, 3.0, 1.0])
    assert slope_of_part(np.zeros(4), part, labels, weights) == pytest.approx(np.log(3.0))


def test_platt_scaling_leaves_a_given_part_alone():
    rest, parts, labels = noisy_parts()
    given = 0.5 * parts[:, 0] + 2.0 * parts[:, 1]
    scaling = fit_platt_scaling_beside(given, rest / 0.8, labels)
    assert scaling.scale == pytest.approx(0.8, abs=0.03)
    assert scaling.shift == pytest.approx(0.3, abs=0.03)
    assert fit_platt_scaling_beside(given, -rest, labels) == PlattScaling(1.0, 0.0)
