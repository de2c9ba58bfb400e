import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.data.click_statistics import click_log_odds


def test_click_log_odds_by_hand():
    # 30 of 60 clicked (half a click each way keeps the rate at 1/2); 20 prior exposures.
    prior, differences = click_log_odds(np.array([0, 30, 0]), np.array([0, 40, 20]))
    assert prior == pytest.approx(0.0)
    expected = [0.0, math.log((40 / 60) / (20 / 60)), math.log((10 / 40) / (30 / 40))]
    assert differences == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=20))
def test_click_log_odds_are_finite_and_ordered_by_rate(pairs):
    clicks = np.array([min(pair) for pair in pairs])
    exposures = np.array([max(pair) for pair in pairs])
    prior, differences = click_log_odds(clicks, exposures)
    assert math.isfinite(prior)
    assert np.isfinite(differences).all()
    assert (np.abs(differences[exposures == 0]) < 1e-9).all()
