"""What rows say of a model that was fitted without them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.simulator.response.calibration import fit_platt_scaling
from hsrl_pipeline.simulator.response.fidelity_metrics import (
    area_under_curve,
    expected_calibration_error,
    log_loss,
    reliability,
    sigmoid,
)
from hsrl_pipeline.simulator.response.part_scaling import fit_platt_scaling_beside


@dataclass(frozen=True)
class HoldoutReport:
    """What the held-out rows said about a model that was fitted without them.

    Attributes:
        n_epochs: Epochs after which their log-loss was lowest.
        n_slates: Number of held-out slates.
        log_loss: Log-loss at that epoch, nats, before calibration.
        auc: Area under the curve at that epoch.
        ece: Expected calibration error at that epoch, before calibration.
        click_rate_log: Share of clicks in the held-out rows.
        click_rate_model: Mean predicted probability, before calibration.
        scale: Factor of the log-odds that fits them best.
        shift: What is then added to the log-odds.
    """

    n_epochs: int
    n_slates: int
    log_loss: float
    auc: float
    ece: float
    click_rate_log: float
    click_rate_model: float
    scale: float
    shift: float

    @classmethod
    def measure(
        cls,
        n_epochs: int,
        log_odds: NDArray[np.float32],
        labels: NDArray[np.int8],
        n_bins: int,
        personal: NDArray[np.float32] | None = None,
    ) -> HoldoutReport:
        """Return the report of (row, slate) answers and labels.

        Users' tastes add ``personal`` to the log-odds; they are calibrated already.
        """
        if personal is None:
            calibration = fit_platt_scaling(log_odds, labels)
        else:
            calibration = fit_platt_scaling_beside(personal, log_odds, labels)
            log_odds = log_odds + personal
        probabilities = sigmoid(log_odds)
        return cls(
            n_epochs=n_epochs,
            n_slates=len(labels),
            log_loss=log_loss(log_odds, labels),
            auc=area_under_curve(log_odds, labels),
            ece=expected_calibration_error(reliability(probabilities, labels, n_bins)),
            click_rate_log=float(labels.mean()),
            click_rate_model=float(probabilities.mean()),
            scale=calibration.scale,
            shift=calibration.shift,
        )
