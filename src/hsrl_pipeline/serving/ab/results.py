"""What a test found: figures of each arm, differences with sequential intervals, over time."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.evaluation.confidence_sequence import (
    FIRST_LOOK,
    ConfidenceSequence,
    difference_terms,
    sequential_intervals,
)
from hsrl_pipeline.serving.ab.ab_test import AbRecords
from hsrl_pipeline.serving.ab.assignment import ARMS, SHARE_OF_B, Arm
from hsrl_pipeline.serving.ab.visitors import Visit

METRICS = ("total_reward", "depth", "click_rate")
"""Columns of the sessions that the arms are compared by with intervals."""

COST = "request_ms"
"""Compared without an interval: what slows one server down for a moment slows all its sessions
then, so that sessions are no independent units of it."""

LOOKS = 120
"""Points of the curves over time at most."""


def session_table(records: AbRecords, slate_size: int) -> pd.DataFrame:
    """Return one row per session, in the order in which they began.

    Args:
        records: What happened.
        slate_size: Items per slate, K.
    """
    return pd.DataFrame([_row(visit, slate_size) for visit in records.visits])


def summarise(
    records: AbRecords,
    sessions: pd.DataFrame,
    models: Mapping[Arm, str],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the report as a JSON-able document.

    Args:
        records: What happened.
        sessions: As `session_table` returns it.
        models: Name of each arm's model.
        settings: How the test was run.
    """
    treated = (sessions["arm"] == "B").to_numpy()
    columns = {name: sessions[name].to_numpy(np.float64) for name in (*METRICS, COST)}
    sequences = {
        name: _sequence(outcomes, treated, with_interval=name in METRICS)
        for name, outcomes in columns.items()
    }
    looks = np.unique(np.linspace(FIRST_LOOK, max(len(sessions), FIRST_LOOK), LOOKS).astype(int))
    looks = looks[looks <= len(sessions)]
    return {
        "settings": dict(settings),
        "arms": {arm: _arm_figures(records, sessions, arm, models[arm]) for arm in ARMS},
        "differences": {name: _difference(sequence) for name, sequence in sequences.items()},
        "over_time": [
            {"sessions": int(look)}
            | {name: _at(sequence, int(look)) for name, sequence in sequences.items()}
            for look in looks
        ],
        "changes": [asdict(move) for move in records.moves],
    }


def _row(visit: Visit, slate_size: int) -> dict[str, Any]:
    slots = visit.depth * slate_size
    return {
        "session": visit.number,
        "arm": visit.arm,
        "user_id": visit.user_id,
        "total_reward": visit.total_reward,
        "depth": visit.depth,
        "click_rate": visit.clicks / slots if slots else 0.0,
        "request_ms": 1e3 * float(np.mean(visit.seconds)),
        "failure": visit.failure,
        "failed_feedback": visit.failed_feedback,
        "released_slots": visit.released_slots,
    }


def _sequence(
    outcomes: NDArray[np.float64], treated: NDArray[np.bool_], *, with_interval: bool
) -> ConfidenceSequence:
    terms = difference_terms(outcomes, treated, SHARE_OF_B)
    found = sequential_intervals(terms, len(outcomes))
    if with_interval:
        return found
    nothing = np.full(len(outcomes), np.nan)
    return ConfidenceSequence(found.mean, nothing, nothing)


def _arm_figures(
    records: AbRecords, sessions: pd.DataFrame, arm: Arm, model: str
) -> dict[str, Any]:
    own = sessions[sessions["arm"] == arm]
    visits = [visit for visit in records.visits if visit.arm == arm]
    seconds = np.concatenate([np.zeros(0), *(np.array(visit.seconds) for visit in visits)])
    metrics = records.server_metrics[arm]
    answered = _metric(metrics, "hsrl_recommend_seconds_count")
    figures: dict[str, Any] = {"model": model, "sessions": len(own)}
    figures |= {name: _number(own[name].mean()) for name in METRICS}
    return figures | {
        "requests": len(seconds),
        "request_ms_mean": _number(1e3 * seconds.mean()) if len(seconds) else None,
        "request_ms_median": _percentile(seconds, 50),
        "request_ms_p99": _percentile(seconds, 99),
        "server_ms_mean": _number(1e3 * _metric(metrics, "hsrl_recommend_seconds_sum") / answered)
        if answered
        else None,
        "failed_requests": int((own["failure"] != "").sum()),
        "failures": dict(Counter(text for text in own["failure"] if text)),
        "failed_feedback": int(own["failed_feedback"].sum()),
        "released_slots": int(own["released_slots"].sum()),
        "illegal_items": int(_metric(metrics, "hsrl_illegal_items_total")),
    }


def _difference(sequence: ConfidenceSequence) -> dict[str, Any]:
    last = _at(sequence, len(sequence.mean))
    return {
        "difference": last[0],
        "low": last[1],
        "high": last[2],
        "clear_after_sessions": sequence.first_clear,
    }


def _at(sequence: ConfidenceSequence, count: int) -> list[float | None]:
    """Return mean, lower and upper end after so many sessions."""
    columns = (sequence.mean, sequence.low, sequence.high)
    return [_number(column[count - 1]) for column in columns]


def _metric(text: str, name: str) -> float:
    """Return a value of Prometheus' text; a counter that never counted may not be there."""
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def _percentile(seconds: NDArray[np.float64], share: float) -> float | None:
    return _number(1e3 * float(np.percentile(seconds, share))) if len(seconds) else None


def _number(value: float) -> float | None:
    """Return a number as JSON may hold it: None for NaN."""
    return float(value) if math.isfinite(value) else None
