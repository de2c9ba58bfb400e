"""The response model of somebody who knows the launch items alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.catalogue.withholding import withhold
from hsrl_pipeline.config.simulator import SimulatorConfig
from hsrl_pipeline.data.slate_log import ItemTable, SlateLog, UserTable
from hsrl_pipeline.shapes import PAD_ID
from hsrl_pipeline.simulator.response.simulators import fit_simulator


def fit_launch_response(
    log: SlateLog,
    users: UserTable,
    items: ItemTable,
    launched: NDArray[np.bool_],
    config: SimulatorConfig,
    *,
    history_size: int,
    seed: int,
) -> dict[str, Any]:
    """Fit a response model as Psi_train is fitted, on what is known at launch.

    It reads items that came later by their content, as never seen.

    Args:
        log: The whole log; the training split alone is used.
        users: Features of every user.
        items: Features of every item.
        launched: (item,) bool. Items live at launch.
        config: Parameters of the simulators.
        history_size: Window length H.
        seed: Seed of the run.

    Returns:
        Checkpoint for ``build_response_model``.

    Raises:
        UserError: Too few logged slates hold a launch item.
    """
    known = fill_slots(withhold(log.train, launched))
    return fit_simulator(
        "train",
        known,
        users,
        items,
        config,
        history_size=history_size,
        seed=seed,
        on_metrics=lambda epoch, figures: None,
    )


def fill_slots(log: SlateLog) -> SlateLog:
    """Return the log without padded slots: a slate's own items take their places in turn.

    So each slate counts as much as before. Slates of padding alone are left out.

    Args:
        log: Logged slates with some padded slots.
    """
    kept = log.select((log.slates != PAD_ID).any(axis=1))
    known = kept.slates != PAD_ID
    # known slots first, in their order; then taken from the start again
    order = np.argsort(~known, axis=1, kind="stable")
    turn = np.arange(known.shape[1])[None, :] % known.sum(axis=1, keepdims=True)
    source = np.where(known, np.arange(known.shape[1])[None, :], np.take_along_axis(order, turn, 1))
    return replace(
        kept,
        slates=np.take_along_axis(kept.slates, source, axis=1),
        labels=np.take_along_axis(kept.labels, source, axis=1),
    )
