"""Details behind the figures of fidelity: reliability bins, clicks per slate, popularity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.simulator.response.fidelity_metrics import (
    clicks_per_slate,
    reliability,
    sigmoid,
)

N_POPULARITY_GROUPS = 10


def popularity_groups(log: SlateLog, n_items: int) -> NDArray[np.int64]:
    """Return the tenth of the catalogue that each item belongs to by its exposures in a log.

    Returns:
        (item,) int64. 1 for the least to 10 for the most shown items; 0 in the padding row. Ties
        are broken by item index.
    """
    exposures = np.bincount(log.slates.ravel(), minlength=n_items + 1)[1:]
    ranks = np.empty(n_items, dtype=np.int64)
    ranks[np.argsort(exposures, kind="stable")] = np.arange(n_items)
    return np.concatenate([[0], 1 + ranks * N_POPULARITY_GROUPS // max(n_items, 1)])


def describe_answers(
    place: Mapping[str, str],
    log_odds: NDArray[np.float32],
    log: SlateLog,
    groups: NDArray[np.int64],
    n_bins: int,
) -> list[pd.DataFrame]:
    """Return the reliability, slate-click and popularity tables of one simulator and split.

    Args:
        place: Columns that say which simulator and split the rows are of.
        log_odds: (row, slate) float32. The simulator's answers.
        log: The rows.
        groups: (item,) int64. Tenth of the catalogue, as `popularity_groups` returns it.
        n_bins: Bins of the reliability table.
    """
    probabilities = sigmoid(log_odds)
    bins = reliability(probabilities, log.labels, n_bins)
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    size = log.slate_size
    logged = np.bincount(log.labels.sum(axis=1), minlength=size + 1) / len(log)
    shown_groups = groups[log.slates.ravel()]
    shown = np.bincount(shown_groups, minlength=N_POPULARITY_GROUPS + 1)[1:]

    def rate(values: NDArray[Any]) -> NDArray[np.float64]:
        sums = np.bincount(shown_groups, values.ravel(), minlength=N_POPULARITY_GROUPS + 1)[1:]
        with np.errstate(invalid="ignore"):
            return np.asarray(sums / shown)

    return [
        pd.DataFrame(
            {
                **place,
                "bin_low": edges[:-1],
                "bin_high": edges[1:],
                "n_predictions": bins.n_predictions,
                "predicted": bins.predicted,
                "observed": bins.observed,
            }
        ),
        pd.DataFrame(
            {
                **place,
                "n_clicks": np.arange(size + 1),
                "share_log": logged,
                "share_model": clicks_per_slate(probabilities),
            }
        ),
        pd.DataFrame(
            {
                **place,
                "decile": np.arange(1, N_POPULARITY_GROUPS + 1),
                "n_shown": shown,
                "click_rate_log": rate(log.labels),
                "click_rate_model": rate(probabilities),
            }
        ),
    ]
