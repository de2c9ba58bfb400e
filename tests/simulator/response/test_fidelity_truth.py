"""The simulators against the synthetic users' true click probabilities."""

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.config.simulator import SimulatorConfig
from hsrl_pipeline.data.slate_log import ItemTable, SlateLog, UserTable
from hsrl_pipeline.data.sources.synthetic import make_population
from hsrl_pipeline.data.synthetic_truth import true_click_probabilities
from hsrl_pipeline.data.tables.ingest import build_tables, land_log
from hsrl_pipeline.simulator.response.checkpoint import build_response_model
from hsrl_pipeline.simulator.response.fidelity_metrics import (
    area_under_curve,
    expected_calibration_error,
    reliability,
    sigmoid,
)
from hsrl_pipeline.simulator.response.log_batches import ResponseRows
from hsrl_pipeline.simulator.response.simulators import fit_simulator

HISTORY = 50
SIZES = {
    "n_users": 600,
    "n_items": 150,
    "mean_events": 80,
    "taste_size": 8,
    "taste_strength": 3.0,
    "click_bias": -0.9,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return predictions, truth and labels of both simulators on the test split."""
    folder = tmp_path_factory.mktemp("synthetic")
    config = IngestionConfig.model_validate({"source": "synthetic", "synthetic": SIZES})
    tables = build_tables(folder, land_log(folder, folder, config, 0), config, "synthetic")
    truth = make_population(config.synthetic, 0)[0].aligned(tables.users, tables.items)
    log = SlateLog.from_frames(pd.read_parquet(tables.slates), pd.read_parquet(tables.timeline))
    users = UserTable.from_frame(tables.users, tables.info)
    items = ItemTable.from_frame(tables.items, tables.info)
    expected = true_click_probabilities(truth, log.test.users, log.test.slates)
    predicted = {}
    for role in ("train", "eval"):
        checkpoint = fit_simulator(
            role,
            log,
            users,
            items,
            SimulatorConfig(batch_size=128, user_taste=False),
            history_size=HISTORY,
            seed=0,
            on_metrics=lambda epoch, figures: None,
        )
        rows = ResponseRows(log.test, users, HISTORY)
        predicted[role] = sigmoid(rows.log_odds(build_response_model(checkpoint)))
    return predicted, expected, log.test.labels


@pytest.mark.slow
@pytest.mark.parametrize("role", ["train", "eval"])
def test_predictions_are_calibrated_against_the_truth(world, role):
    predicted, expected, _ = world
    assert predicted[role].mean() == pytest.approx(expected.mean(), abs=0.03)
    bins = reliability(predicted[role], expected, 10)
    assert expected_calibration_error(bins) < 0.04


@pytest.mark.slow
@pytest.mark.parametrize("role", ["train", "eval"])
def test_predictions_come_close_to_the_best_there_is(world, role):
    predicted, expected, labels = world
    ceiling = area_under_curve(expected, labels)
    assert ceiling > 0.75
    assert area_under_curve(predicted[role], labels) - 0.5 > 0.6 * (ceiling - 0.5)
    assert np.corrcoef(predicted[role].ravel(), expected.ravel())[0, 1] > 0.65
