"""The figures of a simulator's answers to some rows of a log."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.response.fidelity_metrics import (
    area_under_curve,
    area_within_slates,
    expected_calibration_error,
    log_loss,
    reliability,
    sigmoid,
)
from hsrl_pipeline.simulator.response.fidelity_personal import personal_log_odds
from hsrl_pipeline.simulator.response.part_scaling import slope_of_part

SUREST_SHARE = 0.1
"""Share of the predictions, those farthest from 1/2, whose calibration is told apart."""


def score_answers(
    model: UserResponseModel,
    log: SlateLog,
    log_odds: NDArray[np.float32],
    item_log_odds: NDArray[np.float64],
    n_bins: int,
) -> dict[str, float]:
    """Return the figures of one simulator's answers to the rows of a log, by name.

    Args:
        model: The simulator, asked only for its personal part.
        log: The rows.
        log_odds: (row, slate) float32. Its answers.
        item_log_odds: (item,) float64. Log-odds of a click by the items' rates alone.
        n_bins: Bins of the calibration errors.
    """
    probabilities = sigmoid(log_odds)
    items, labels = item_log_odds[log.slates], log.labels
    sureness = np.abs(probabilities - 0.5)
    surest = sureness >= np.quantile(sureness, 1.0 - SUREST_SHARE)
    taste = personal_log_odds(model, log)
    return {
        "n_slates": len(labels),
        "click_rate_log": float(labels.mean()),
        "click_rate_model": float(probabilities.mean()),
        "auc": area_under_curve(log_odds, labels),
        "log_loss": log_loss(log_odds, labels),
        "ece": expected_calibration_error(reliability(probabilities, labels, n_bins)),
        "auc_within_slates": area_within_slates(log_odds, labels),
        "auc_of_item_rates": area_within_slates(items, labels),
        "auc_overall_of_item_rates": area_under_curve(items, labels),
        "ece_surest": expected_calibration_error(
            reliability(probabilities[surest], labels[surest], n_bins)
        ),
        "slope": slope_of_part(items, log_odds - items, labels),
        "slope_of_taste": (
            float("nan") if taste is None else slope_of_part(log_odds - taste, taste, labels)
        ),
    }
