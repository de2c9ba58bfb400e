import numpy as np
import pytest

from hsrl_pipeline.simulator.response.calibration import fit_platt_scaling
from hsrl_pipeline.simulator.response.fidelity_metrics import log_loss, sigmoid


def test_the_map_that_spoiled_log_odds_is_undone():
    rng = np.random.default_rng(0)
    honest = rng.normal(size=200_000)
    labels = (rng.random(honest.shape) < sigmoid(honest)).astype(np.int8)
    scaling = fit_platt_scaling((honest - 0.4) / 0.5, labels)
    assert scaling.scale == pytest.approx(0.5, abs=0.02)
    assert scaling.shift == pytest.approx(0.4, abs=0.02)


def test_two_predictions_are_fitted_exactly():
    # Log-odds -1 with 1 of 4 clicked and +1 with 3 of 4 clicked: log(3) times the log-odds.
    log_odds = np.repeat([-1.0, 1.0], 4)
    labels = np.array([1, 0, 0, 0, 1, 1, 1, 0], np.int8)
    scaling = fit_platt_scaling(log_odds, labels)
    assert scaling.scale == pytest.approx(np.log(3.0))
    assert scaling.shift == pytest.approx(0.0, abs=1e-9)


def test_calibration_never_raises_the_log_loss():
    rng = np.random.default_rng(1)
    log_odds = rng.normal(size=(50, 3)) * 4
    labels = (rng.random(log_odds.shape) < sigmoid(log_odds / 3)).astype(np.int8)
    scale, shift = fit_platt_scaling(log_odds, labels)
    assert log_loss(scale * log_odds + shift, labels) < log_loss(log_odds, labels)


@pytest.mark.parametrize(
    ("log_odds", "labels"),
    [
        ([0.1, 0.2, 0.3], [1, 1, 1]),
        ([0.1, 0.2, 0.3], [0, 0, 0]),
        ([0.7, 0.7, 0.7], [0, 1, 1]),
        ([2.0, 1.0, -1.0, -2.0], [0, 0, 1, 1]),
        ([-2.0, -1.0, 1.0, 2.0], [1, 0, 1, 0]),
        ([-2.0, -1.0, 1.0, 2.0], [0, 0, 1, 1]),
        ([-90.0, -80.0, 80.0, 90.0], [0, 0, 1, 1]),
    ],
    ids=[
        "all clicked",
        "none clicked",
        "one answer",
        "perfectly wrong",
        "worse than chance",
        "perfect",
        "perfect and far apart",
    ],
)
def test_nothing_is_done_where_nothing_can_be_learned(log_odds, labels):
    assert fit_platt_scaling(np.array(log_odds), np.array(labels, np.int8)) == (1.0, 0.0)
