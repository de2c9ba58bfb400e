"""The data-quality report: what came in, what was dropped and why, what the log looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.data.accounts import RowAccounts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOP_SHARE = 0.1


def make_report(
    accounts: RowAccounts,
    feature_accounts: RowAccounts,
    summary: dict[str, Any],
    popularity: pd.DataFrame,
) -> dict[str, Any]:
    """Return the report as a JSON-able dictionary.

    Args:
        accounts: Rows of events, of all batches.
        feature_accounts: Rows of all other files.
        summary: Figures of the canonical log.
        popularity: ``n_events`` and ``n_positives`` of each item.
    """
    events = popularity["n_events"].to_numpy(np.int64)
    return {
        "rows": _rows(accounts),
        "dropped_by_reason": _reasons(accounts),
        "feature_rows": {**_rows(feature_accounts), "repeated": feature_accounts.repeated},
        "feature_rows_dropped_by_reason": _reasons(feature_accounts),
        "notes": {
            name: count
            for name, count in {
                **accounts.notes,
                **feature_accounts.notes,
                **summary["notes"],
            }.items()
            if count > 0
        },
        "log": {name: value for name, value in summary.items() if name != "notes"},
        "long_tail": {
            "share_of_events_of_top_tenth": top_share(events, TOP_SHARE),
            "gini": gini(events),
            "items_without_positive": int((popularity["n_positives"] == 0).sum()),
            "items_unseen_in_training": int((popularity["n_train_events"] == 0).sum()),
        },
    }


def _rows(accounts: RowAccounts) -> dict[str, int]:
    return {"in": accounts.rows_in, "out": accounts.rows_out, "dropped": accounts.rows_dropped}


def _reasons(accounts: RowAccounts) -> list[dict[str, Any]]:
    """Return what rows were dropped for, the most frequent reason first."""
    return [
        {
            "reason": defect.reason,
            "rows": defect.count,
            "first": defect.place(),
            "example": defect.example,
        }
        for defect in sorted(accounts.bad, key=lambda defect: -defect.count)
    ]


def report_metrics(report: dict[str, Any]) -> dict[str, float]:
    """Return the report's main figures, flat, for experiment tracking."""
    return {
        "data_rows_in": float(report["rows"]["in"]),
        "data_rows_dropped": float(report["rows"]["dropped"]),
        "data_feature_rows_in": float(report["feature_rows"]["in"]),
        "data_feature_rows_dropped": float(report["feature_rows"]["dropped"]),
        "data_label_rate": report["log"]["label_rate"],
        "data_train_slates": float(report["log"]["slates"]["train"]),
        "data_test_slates": float(report["log"]["slates"]["test"]),
        "data_top_tenth_share": report["long_tail"]["share_of_events_of_top_tenth"],
    }


def top_share(counts: NDArray[np.int64], share: float) -> float:
    """Return the share of events that falls on the given share of items, most popular first."""
    ordered = np.sort(counts)[::-1]
    head = max(1, round(share * len(ordered)))
    return float(ordered[:head].sum() / ordered.sum())


def gini(counts: NDArray[np.int64]) -> float:
    """Return the Gini coefficient of counts: 0 when all are equal, towards 1 when one has all."""
    ordered = np.sort(counts).astype(np.float64)
    ranks = np.arange(1, len(ordered) + 1)
    n = len(ordered)
    return float((2 * (ranks * ordered).sum() / ordered.sum() - (n + 1)) / n)


def plot_long_tail(report: dict[str, Any], popularity: pd.DataFrame) -> Figure:
    """Return a figure: events by item rank, and rows by what became of them.

    Args:
        report: As `make_report` makes it.
        popularity: ``n_events`` and ``n_positives`` of each item.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    tail, rows = figure.subplots(1, 2, width_ratios=[3, 2])
    events = np.sort(popularity["n_events"].to_numpy())[::-1]
    positives = np.sort(popularity["n_positives"].to_numpy())[::-1]
    ranks = np.arange(1, len(events) + 1)
    tail.loglog(ranks, events, label="events")
    tail.loglog(ranks[positives > 0], positives[positives > 0], label="positive events")
    share = report["long_tail"]["share_of_events_of_top_tenth"]
    tail.set(
        xlabel="item rank",
        ylabel="events per item",
        title=f"Long tail: {share:.0%} of events on the top tenth of items",
    )
    tail.legend(frameon=False)
    parts = {"kept": report["rows"]["out"]}
    parts |= {entry["reason"]: entry["rows"] for entry in report["dropped_by_reason"]}
    names = list(parts)[::-1]
    bars = rows.barh(names, [max(parts[name], 1) for name in names])
    rows.bar_label(bars, [f" {parts[name]:,}" for name in names])
    rows.set(xscale="log", xlabel="rows", title="What became of the rows")
    rows.margins(x=0.25)
    return figure
