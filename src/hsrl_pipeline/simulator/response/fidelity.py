"""How far the simulators can be trusted: their answers beside the log's, split by split."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hsrl_pipeline.config.simulator import SimulatorConfig
from hsrl_pipeline.data.click_statistics import click_log_odds
from hsrl_pipeline.data.slate_log import DatasetInfo, SlateLog, UserTable
from hsrl_pipeline.device import one_thread
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.response.checkpoint import build_response_model
from hsrl_pipeline.simulator.response.ensemble import EnsembleResponse
from hsrl_pipeline.simulator.response.fidelity_details import (
    describe_answers,
    popularity_groups,
)
from hsrl_pipeline.simulator.response.fidelity_personal import (
    GAINS,
    known_rows,
    measure_gains,
    taste_agreement,
)
from hsrl_pipeline.simulator.response.fidelity_scores import score_answers
from hsrl_pipeline.simulator.response.item_features import count_items
from hsrl_pipeline.simulator.response.log_batches import ResponseRows
from hsrl_pipeline.simulator.response.recorded import RecordedResponse, log_recorded_answers
from hsrl_pipeline.simulator.response.user_identity import users_as_read

logger = logging.getLogger(__name__)

HELD_OUT_SPLIT = "latest"
"""Name of the rows that chose the number of epochs, in the table of scores."""

RECORDED_SPLIT = "recorded"
"""Name of what people held back answered to items not shown to them before, where it is known."""

KNOWN_SPLIT = "known"
"""Name of the test rows of users who have training rows."""

FIGURES = ("auc", "auc_within_slates", "log_loss", "ece", "ece_surest", "slope", "slope_of_taste")
"""Figures of the table of scores that are metrics too."""

UNKNOWN_HELD_OUT = (
    "auc_within_slates",
    "auc_of_item_rates",
    "auc_overall_of_item_rates",
    "ece_surest",
    "slope",
    "slope_of_taste",
    "disagreement",
)
"""What the report of a fit doesn't say of its held-out rows."""


@dataclass(frozen=True)
class FidelityTables:
    """The fidelity report; every table has the columns ``simulator`` and ``split``.

    Attributes:
        scores: One row per simulator and split: ``seen`` (whether the simulator was fitted on
            these rows), ``n_slates``, ``click_rate_log``, ``click_rate_model``, ``auc``,
            ``log_loss``, ``ece``, ``auc_within_slates`` (over pairs of one slate),
            ``auc_of_item_rates`` (the same for the training split's click rates of the items: what
            needs no simulator), ``auc_overall_of_item_rates`` (over all pairs), ``ece_surest`` (of
            the tenth of predictions farthest from 1/2), ``slope`` (of clicks on what the simulator
            adds to the items' log-odds; 1 is honest, below 1 overconfident), ``slope_of_taste``
            (of clicks on the personal part; NaN without tastes), ``disagreement`` (between
            members, NaN for one), ``warning``. The split ``known`` holds the test rows of users
            who have training rows.
        reliability: One row per bin: ``bin_low``, ``bin_high``, ``n_predictions``, ``predicted``,
            ``observed``.
        slate_clicks: One row per number of clicks: ``n_clicks``, ``share_log``, ``share_model``.
        popularity: One row per tenth of the catalogue, by exposures in the training split:
            ``decile`` (10 is the most shown), ``n_shown``, ``click_rate_log``,
            ``click_rate_model``.
        personal: One row per simulator and regime: what taste is worth, see `measure_gains`, in
            sessions of users whom the simulator knows, from their test rows where there are any.
        taste_agreement: Correlation of Psi_train's and Psi_eval's tastes, NaN without.
    """

    scores: pd.DataFrame
    reliability: pd.DataFrame
    slate_clicks: pd.DataFrame
    popularity: pd.DataFrame
    personal: pd.DataFrame
    taste_agreement: float

    def metrics(self) -> dict[str, float]:
        """Return the finite figures by name, ``simulator_<simulator>_<split>_<figure>``."""
        figures = {
            f"simulator_{row['simulator']}_{row['split']}_{figure}": float(row[figure])
            for row in self.scores.to_dict("records")
            for figure in FIGURES
        }
        figures |= {
            f"simulator_{row['simulator']}_{row['regime']}_{figure}": float(row[figure])
            for row in self.personal.to_dict("records")
            for figure in GAINS
        }
        figures["simulator_taste_agreement"] = self.taste_agreement
        return {name: value for name, value in figures.items() if np.isfinite(value)}


@one_thread()
def measure_fidelity(
    checkpoints: Mapping[str, Mapping[str, Any]],
    log: SlateLog,
    users: UserTable,
    info: DatasetInfo,
    config: SimulatorConfig,
) -> FidelityTables:
    """Compare simulators with the log on both splits, and warn of poor calibration.

    Args:
        checkpoints: Simulators by name, ``train`` and ``eval``.
        log: The whole log.
        users: Features of every user, without the user index.
        info: Sizes and field names of the dataset.
        config: Bins and the warning's threshold.
    """
    groups = popularity_groups(log.train, info.n_items)
    counts = count_items(log.train, info.n_items)
    _, item_log_odds = click_log_odds(counts.clicks, counts.exposures)
    scores: list[dict[str, Any]] = []
    tables: list[list[pd.DataFrame]] = []
    personal: list[pd.DataFrame] = []
    models = {name: build_response_model(checkpoint) for name, checkpoint in checkpoints.items()}
    parts = {"train": log.train, "test": log.test}
    for judge in models.values():
        if isinstance(judge, RecordedResponse):
            parts[RECORDED_SPLIT] = log_recorded_answers(log, judge, info.slate_size)
    for simulator, checkpoint in checkpoints.items():
        model = models[simulator]
        if isinstance(model, RecordedResponse):
            continue  # what people answered needs no comparison with what they answered
        _, read_users = users_as_read(info, users, checkpoint)
        for split, own in parts.items():
            if not len(own):
                continue
            rows = ResponseRows(own, read_users, model.history_size)
            log_odds = rows.log_odds(model)
            place = {"simulator": simulator, "split": split}
            seen = split == "train" or simulator == "eval"
            known = np.isin(own.users, log.users[log.is_train])
            judged = {split: np.ones_like(known)} | (
                {KNOWN_SPLIT: known} if split == "test" else {}
            )
            for name, chosen in judged.items():
                if not chosen.any():
                    continue
                own_scores = score_answers(
                    model,
                    own.select(chosen),
                    log_odds[chosen],
                    item_log_odds,
                    config.n_calibration_bins,
                )
                scores.append(
                    {"simulator": simulator, "split": name, "seen": seen}
                    | own_scores
                    | {"disagreement": _disagreement(model, rows) if name == split else np.nan}
                )
            tables.append(describe_answers(place, log_odds, own, groups, config.n_calibration_bins))
        starts = _starts(model, log)
        gains = measure_gains(model, ResponseRows(starts, read_users, model.history_size), log)
        gains.insert(0, "simulator", simulator)
        personal.append(gains)
        scores += _held_out_scores(simulator, checkpoint["config"]["holdout"])
    for score in scores:
        score["warning"] = _warn(score, config.calibration_warning)
    details = [pd.concat(pieces, ignore_index=True) for pieces in zip(*tables, strict=True)]
    reliability_table, slate_clicks, popularity = details
    return FidelityTables(
        scores=pd.DataFrame(scores),
        reliability=reliability_table,
        slate_clicks=slate_clicks,
        popularity=popularity,
        personal=pd.concat(personal, ignore_index=True),
        taste_agreement=(
            taste_agreement(models["train"], models["eval"]) if len(models) == 2 else float("nan")
        ),
    )


def _starts(model: UserResponseModel, log: SlateLog) -> SlateLog:
    """Return the rows of users whom a simulator knows: test rows, or training rows if none."""
    for split in (log.test, log.train):
        known = known_rows(model, split)
        if known.any():
            return split.select(known)
    return log


def _disagreement(model: UserResponseModel, rows: ResponseRows) -> float:
    """Return how far an ensemble's members lie apart; NaN for a single model."""
    return rows.disagreement(model) if isinstance(model, EnsembleResponse) else float("nan")


def _held_out_scores(simulator: str, reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the row of the slates that chose the epoch: the mean over members, if any."""
    if not reports:
        return []
    figures = ("n_slates", "click_rate_log", "click_rate_model", "auc", "log_loss", "ece")
    return [
        {
            "simulator": simulator,
            "split": HELD_OUT_SPLIT,
            "seen": False,
            **{name: float(np.mean([report[name] for report in reports])) for name in figures},
            **dict.fromkeys(UNKNOWN_HELD_OUT, np.nan),
        }
    ]


def _warn(score: Mapping[str, Any], threshold: float) -> str:
    """Return the warning of one row of scores, empty if calibration is good, and log it.

    Tastes are as sure as unseen rows allow, so that they are less sure than they might be of the
    rows that they were inferred from: nothing to be warned of.
    """
    modest = score["seen"] and np.isfinite(score["slope_of_taste"])
    if modest or not score["ece"] > threshold:
        return ""
    message = f"calibration error {score['ece']:.3f} is above {threshold:g}"
    if score["split"] == HELD_OUT_SPLIT:
        message += " before calibration and refit"
    logger.warning("Simulator %s, %s rows: %s", score["simulator"], score["split"], message)
    return message
