import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import log_loss as reference_log_loss
from sklearn.metrics import roc_auc_score

from hsrl_pipeline.simulator.response.fidelity_metrics import (
    area_under_curve,
    area_within_slates,
    clicks_per_slate,
    expected_calibration_error,
    log_loss,
    reliability,
    sigmoid,
)


def test_sigmoid_by_hand_and_without_overflow():
    values = sigmoid(np.array([0.0, math.log(3.0), -800.0, 800.0]))
    assert values == pytest.approx([0.5, 0.75, 0.0, 1.0])


def test_log_loss_by_hand():
    # p = 0.75 clicked and p = 0.5 not clicked.
    value = log_loss(np.array([[math.log(3.0), 0.0]]), np.array([[1, 0]], np.int8))
    assert value == pytest.approx(-(math.log(0.75) + math.log(0.5)) / 2)
    assert log_loss(np.array([1000.0]), np.array([0], np.int8)) == pytest.approx(1000.0)


def test_area_under_curve_by_hand_with_ties():
    # Clicked 3 and 1 against unclicked 2 and 1: wins 1, 1, 0 and one tie: 2.5 of 4.
    scores, labels = np.array([[3.0, 2.0], [1.0, 1.0]]), np.array([[1, 0], [1, 0]], np.int8)
    assert area_under_curve(scores, labels) == pytest.approx(2.5 / 4)


def test_weighted_area_under_curve_by_hand():
    # Clicked 3 (weight 1) and 1 (weight 4) against unclicked 2 (weight 2) and 1 (weight 3):
    # wins 1 x 2 and 1 x 3, a tie 4 x 3 / 2, of 5 x 5 pairs.
    scores, labels = np.array([3.0, 2.0, 1.0, 1.0]), np.array([1, 0, 1, 0], np.int8)
    weights = np.array([1.0, 2.0, 4.0, 3.0])
    assert area_under_curve(scores, labels, weights) == pytest.approx((2 + 3 + 6) / 25)
    # what weighs nothing is not there
    assert area_under_curve(scores, labels, weights * [1, 1, 0, 1]) == pytest.approx(1.0)


@pytest.mark.parametrize("label", [0, 1])
def test_area_under_curve_needs_both_answers(label):
    assert math.isnan(area_under_curve(np.array([1.0, 2.0]), np.full(2, label, np.int8)))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_metrics_agree_with_scikit_learn(seed, size):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-3, 4, size).astype(float)
    labels = rng.integers(0, 2, size).astype(np.int8)
    labels[:2] = [0, 1]
    assert area_under_curve(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    assert log_loss(scores, labels) == pytest.approx(reference_log_loss(labels, sigmoid(scores)))


def test_reliability_by_hand():
    bins = reliability(np.array([0.1, 0.3, 0.6, 1.0]), np.array([0, 1, 0, 1], np.int8), 2)
    assert bins.n_predictions.tolist() == [2, 2]
    assert bins.predicted == pytest.approx([0.2, 0.8])
    assert bins.observed == pytest.approx([0.5, 0.5])
    # Two of four predictions are 0.3 too low, two 0.3 too high.
    assert expected_calibration_error(bins) == pytest.approx(0.3)


def test_weighted_calibration_error_by_hand():
    # Lower bin: mean prediction (3 x 0.1 + 1 x 0.3) / 4 = 0.15, clicks 1 of 4; gap 0.10.
    # Upper bin: (2 x 0.6 + 4 x 0.9) / 6 = 0.8, clicks 4 of 6; gap 2 / 15.
    probabilities, labels = np.array([0.1, 0.3, 0.6, 0.9]), np.array([0, 1, 0, 1], np.int8)
    bins = reliability(probabilities, labels, 2, np.array([3.0, 1.0, 2.0, 4.0]))
    assert bins.n_predictions == pytest.approx([4.0, 6.0])
    assert bins.predicted == pytest.approx([0.15, 0.8])
    assert bins.observed == pytest.approx([0.25, 4 / 6])
    assert expected_calibration_error(bins) == pytest.approx(0.4 * 0.1 + 0.6 * 2 / 15)
    scaled = reliability(probabilities, labels, 2, np.array([0.03, 0.01, 0.02, 0.04]))
    assert expected_calibration_error(scaled) == pytest.approx(0.4 * 0.1 + 0.6 * 2 / 15)


def test_empty_bins_are_unknown_and_weigh_nothing():
    bins = reliability(np.array([0.9]), np.array([1], np.int8), 3)
    assert np.isnan(bins.predicted[:2]).all()
    assert expected_calibration_error(bins) == pytest.approx(0.1)


def test_clicks_per_slate_by_hand():
    # (1/2, 1/4): none 3/8, both 1/8; (1, 0): always one. The mean of the two.
    shares = clicks_per_slate(np.array([[0.5, 0.25], [1.0, 0.0]]))
    assert shares == pytest.approx([3 / 16, 3 / 4, 1 / 16])


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.floats(0, 1))
)
def test_clicks_per_slate_is_a_distribution_with_the_right_mean(probabilities):
    shares = clicks_per_slate(probabilities)
    assert shares.sum() == pytest.approx(1.0)
    assert shares @ np.arange(len(shares)) == pytest.approx(probabilities.sum(axis=1).mean())


def test_area_within_slates_compares_items_of_one_slate_alone() -> None:
    # first slate: the click beats one miss and ties with the other; second: all alike, no pair
    scores = np.array([[0.3, 0.3, 0.1], [9.0, 8.0, 7.0]])
    labels = np.array([[1, 0, 0], [0, 0, 0]], dtype=np.int8)
    assert area_within_slates(scores, labels) == pytest.approx(0.75)
    # a level of its own per slate changes nothing
    assert area_within_slates(scores + np.array([[5.0], [-5.0]]), labels) == pytest.approx(0.75)
    assert np.isnan(area_within_slates(scores[1:], labels[1:]))
