import numpy as np
import pytest
from numpy.testing import assert_allclose

from hsrl_pipeline.simulator.response import taste
from hsrl_pipeline.simulator.response.taste import (
    Feedback,
    ItemTastes,
    fit_item_tastes,
    infer_tastes,
)

SURE = 1e9
"""Precision at which nothing moves."""


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def one_click(item=1, clicked=1):
    return Feedback.of(np.array([0]), np.array([item]), np.array([clicked]), 1)


def items(vector, log_odds, precision):
    """Return a catalogue of one item beside the padding row."""
    size = len(vector)
    return ItemTastes(
        np.array([np.zeros(size), vector], dtype=np.float64),
        np.array([0.0, log_odds]),
        np.asarray(precision, dtype=np.float64),
    )


def test_the_bias_of_one_click_is_the_mode_worked_out_by_hand():
    # The slope of the log-posterior, 1 - sigmoid(b) - p b, is zero at b = 1 for p = sigmoid(-1).
    given = items([0.0], 0.0, [SURE, sigmoid(-1.0)])
    assert_allclose(infer_tastes(given, one_click(), 1e-9), [[0.0, 1.0]], atol=1e-6)


def test_the_vector_of_one_click_is_the_mode_worked_out_by_hand():
    # With q = 2, 2 (1 - sigmoid(2 u)) - p u is zero at u = 1/2 for p = 4 sigmoid(-1).
    given = items([2.0], 0.0, [4.0 * sigmoid(-1.0), SURE])
    assert_allclose(infer_tastes(given, one_click(), 1e-9), [[0.5, 0.0]], atol=1e-6)


def test_a_dislike_counts_as_much_as_a_like():
    given = items([2.0], 0.0, [1.0, 1.0])
    assert_allclose(
        infer_tastes(given, one_click(clicked=0)), -infer_tastes(given, one_click()), atol=1e-12
    )


def test_what_the_item_explains_is_not_taste():
    surprising, expected = (
        infer_tastes(items([1.0], log_odds, [1.0, 1.0]), one_click())[0] for log_odds in (-2.0, 2.0)
    )
    assert (surprising > 3 * expected).all()


def test_the_mode_has_no_slope():
    rng = np.random.default_rng(0)
    given = ItemTastes(rng.normal(size=(9, 3)), rng.normal(size=9), np.array([1.0, 1.0, 1.0, 0.5]))
    shown, clicks = rng.integers(1, 9, 40), rng.integers(0, 2, 40)
    found = infer_tastes(given, Feedback.of(np.zeros(40, int), shown, clicks, 1), 1e-10)[0]
    features = given.features[shown]
    predicted = sigmoid(given.log_odds[shown] + features @ found)
    assert_allclose(features.T @ (clicks - predicted), given.precision * found, atol=1e-6)


def test_without_rows_and_with_endless_precision_there_is_the_prior():
    given = items([2.0], 0.0, [1.0, 1.0])
    two = Feedback.of(np.array([1]), np.array([1]), np.array([1]), 3)
    found = infer_tastes(given, two)
    assert_allclose(found[[0, 2]], 0.0)
    assert np.abs(found[1]).min() > 0.1
    assert_allclose(infer_tastes(items([2.0], 0.0, [SURE, SURE]), two), 0.0, atol=1e-8)


def test_a_start_changes_the_way_and_not_the_mode(monkeypatch):
    rng = np.random.default_rng(0)
    given = ItemTastes(rng.normal(size=(9, 3)), rng.normal(size=9), np.array([1.0, 1.0, 1.0, 0.5]))
    owners, shown, clicks = (rng.integers(*ends, 40) for ends in ((0, 4), (1, 9), (0, 2)))
    feedback = Feedback.of(owners, shown, clicks, 4)
    mode = infer_tastes(given, feedback, 1e-10)
    start = rng.normal(size=mode.shape)
    before = start.copy()
    assert_allclose(infer_tastes(given, feedback, 1e-10, start=start), mode, atol=1e-8)
    assert_allclose(start, before, atol=0)
    monkeypatch.setattr(taste, "MOST_STEPS", 1)
    assert_allclose(infer_tastes(given, feedback, start=mode), mode, atol=1e-8)
    assert np.abs(infer_tastes(given, feedback) - mode).max() > 0.01


def test_owners_do_not_hear_of_one_another_whatever_the_block(monkeypatch):
    rng = np.random.default_rng(1)
    given = ItemTastes(rng.normal(size=(9, 2)), rng.normal(size=9), np.ones(3))
    owners, shown, clicks = rng.integers(0, 7, 60), rng.integers(1, 9, 60), rng.integers(0, 2, 60)
    together = infer_tastes(given, Feedback.of(owners, shown, clicks, 7), 1e-9)
    monkeypatch.setattr(taste, "OWNERS_PER_BLOCK", 2)
    assert_allclose(infer_tastes(given, Feedback.of(owners, shown, clicks, 7), 1e-9), together)
    own = owners == 3
    alone = Feedback.of(np.zeros(own.sum(), int), shown[own], clicks[own], 1)
    assert_allclose(infer_tastes(given, alone, 1e-9)[0], together[3], atol=1e-6)


def test_apart_a_taste_is_the_same_bit_for_bit_whoever_is_there():
    rng = np.random.default_rng(0)
    given = ItemTastes(rng.normal(size=(9, 3)), rng.normal(size=9), np.full(4, 0.3))
    owners, shown, clicks = rng.integers(0, 5, 60), rng.integers(1, 9, 60), rng.integers(0, 2, 60)
    together = infer_tastes(given, Feedback.of(owners, shown, clicks, 5), 0.1, apart=True)
    for owner in range(5):
        own = owners == owner
        alone = Feedback.of(np.zeros(own.sum(), int), shown[own], clicks[own], 1)
        assert np.array_equal(infer_tastes(given, alone, 0.1, apart=True)[0], together[owner])
    # without it all go on until the last one has come to rest
    assert not np.array_equal(
        infer_tastes(given, Feedback.of(owners, shown, clicks, 5), 0.1), together
    )


def test_fitting_finds_two_camps_and_does_not_mind_blocks(monkeypatch):
    rng = np.random.default_rng(2)
    owners, shown = np.repeat(np.arange(60), 20), rng.integers(1, 11, 1200)
    likes = np.where(shown % 2 == owners % 2, 0.9, 0.1)
    feedback = Feedback.of(owners, shown, (rng.random(1200) < likes).astype(np.int8), 60)
    start = ItemTastes(rng.normal(size=(11, 1)), np.zeros(11), np.array([1.0, 1.0]))
    found = fit_item_tastes(feedback, start, 20)
    vectors = found.vectors[1:, 0]
    assert (np.sign(vectors[::2]) == np.sign(vectors[0])).all()
    assert (np.sign(vectors[1::2]) == -np.sign(vectors[0])).all()
    assert np.abs(vectors).min() > 0.5
    assert found.vectors[0] == pytest.approx(0.0)
    monkeypatch.setattr(taste, "OWNERS_PER_BLOCK", 7)
    assert_allclose(fit_item_tastes(feedback, start, 20).vectors, found.vectors, rtol=1e-6)


def test_personal_parts_are_vector_and_bias():
    given = items([2.0], 0.0, [1.0, 1.0])
    parts = given.personal_parts(
        np.array([[0.0, 0.0], [3.0, -1.0]]), np.array([1]), np.array([[1]])
    )
    assert_allclose(parts, [[[6.0, -1.0]]])
