"""Intervals of a difference that may be looked at after every session."""

from __future__ import annotations

import numpy as np
import pytest

from hsrl_pipeline.evaluation.confidence_sequence import (
    FIRST_LOOK,
    difference_terms,
    sequential_intervals,
)


def test_terms_are_those_computed_by_hand() -> None:
    outcomes = np.array([2.0, 4.0, 1.0, 3.0])
    treated = np.array([True, False, True, False])
    # means before: none; 2 of both arms; 2 and 4; 1.5 and 4
    expected = [2 / 0.5, -(4 - 2) / 0.5, (2 - 4) + (1 - 2) / 0.5, (1.5 - 4) - (3 - 4) / 0.5]
    np.testing.assert_allclose(difference_terms(outcomes, treated), expected)


def test_terms_weigh_by_the_chance_of_the_arm() -> None:
    terms = difference_terms(np.array([3.0, 3.0]), np.array([True, False]), share=0.25)
    np.testing.assert_allclose(terms, [12.0, 0.0])


def test_margin_is_the_one_computed_by_hand() -> None:
    # alternating terms: mean 0 and variance 1 after 100. With alpha 0.05 and best_at 100,
    # rho^2 = (5.99146 + log 6.99146) / 100 = 0.0793615, so 100 rho^2 + 1 = 8.93615 and the margin
    # is sqrt(2 * 8.93615 / (100^2 * 0.0793615) * log(sqrt(8.93615) / 0.05)) = 0.303521
    found = sequential_intervals(np.tile([1.0, -1.0], 50), best_at=100)
    assert found.high[99] == pytest.approx(0.303521, abs=1e-6)
    assert found.low[99] == pytest.approx(-0.303521, abs=1e-6)
    assert found.mean[99] == 0.0


def test_there_is_no_interval_before_the_first_look() -> None:
    found = sequential_intervals(np.ones(FIRST_LOOK + 1), best_at=500)
    assert np.isnan(found.low[: FIRST_LOOK - 1]).all()
    assert np.isfinite(found.high[FIRST_LOOK - 1 :]).all()
    assert found.first_clear == FIRST_LOOK


def test_the_interval_is_narrow_where_it_is_asked_to_be() -> None:
    terms = np.random.default_rng(0).normal(size=2000)
    widths = {
        best_at: sequential_intervals(terms, best_at).high
        - sequential_intervals(terms, best_at).low
        for best_at in (200, 2000)
    }
    assert widths[200][199] < widths[2000][199]
    assert widths[2000][1999] < widths[200][1999]


def simulate(effect: float, rng: np.random.Generator, n_sessions: int = 1500) -> tuple:
    """Return outcomes as skewed as total rewards, and arms by a coin."""
    treated = rng.random(n_sessions) < 0.5
    outcomes = rng.gamma(1.5, 3.0, n_sessions) + np.where(treated, effect, 0.0)
    return outcomes, treated


def test_all_looks_together_cover_the_truth_where_ordinary_intervals_do_not() -> None:
    rng = np.random.default_rng(1)
    effect, experiments = 0.7, 400
    missed = missed_by_ordinary = 0
    for _ in range(experiments):
        outcomes, treated = simulate(effect, rng)
        terms = difference_terms(outcomes, treated)
        found = sequential_intervals(terms, best_at=1500)
        missed += bool(((found.low > effect) | (found.high < effect)).any())
        counts = np.arange(1, len(terms) + 1)
        spread = np.sqrt(np.maximum(np.square(terms).cumsum() / counts - found.mean**2, 0.0))
        off = np.abs(found.mean - effect)[FIRST_LOOK - 1 :]
        missed_by_ordinary += bool(
            (off > (1.96 * spread / np.sqrt(counts))[FIRST_LOOK - 1 :]).any()
        )
    assert missed / experiments <= 0.05
    assert missed_by_ordinary / experiments > 0.2


def test_a_difference_is_found() -> None:
    rng = np.random.default_rng(2)
    outcomes, treated = simulate(2.0, rng)
    found = sequential_intervals(difference_terms(outcomes, treated), best_at=1500)
    assert found.first_clear is not None and found.first_clear < 1000
    assert found.mean[-1] == pytest.approx(
        outcomes[treated].mean() - outcomes[~treated].mean(), abs=0.05
    )


def test_arms_of_other_length_are_refused() -> None:
    with pytest.raises(ValueError, match="treated"):
        difference_terms(np.zeros(3), np.zeros(2, bool))


def test_no_difference_at_all_is_never_clear():
    sequence = sequential_intervals(np.zeros(3 * FIRST_LOOK), best_at=100)
    assert sequence.low[-1] == sequence.high[-1] == 0.0
    assert sequence.first_clear is None
