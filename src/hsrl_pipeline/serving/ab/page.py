"""The report of a test as one page, and the files that it is written to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hsrl_pipeline.atomic import staged_path
from hsrl_pipeline.html_page import bullets, element, page, picture, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRIC_NAMES = {
    "total_reward": "Total Reward of a session",
    "depth": "Depth: slates of a session",
    "click_rate": "Click rate: clicked share of the slots of a session",
    "request_ms": "Time of a request for recommendations, milliseconds at the client",
}

HOW_TO_READ = (
    "Every session belongs to one arm, by the hash of its id. All differences are B minus A.",
    "Intervals hold at all looks together: with 95 % probability none of those of one figure over"
    " the whole test misses the true difference, so one may look at any time and stop. They rest on"
    " a central limit theorem and begin after 100 sessions. One that has left 0 out once has told"
    " the arms apart.",
    "Where effects change with the catalogue, an interval is for the mean effect so far.",
    "Times of requests have no interval: sessions share the machine with both servers and the"
    " simulated users, and what slows one server down for a moment slows all its sessions then."
    " Times compare the arms with each other and not with another machine.",
)


def write_report(folder: Path, document: Mapping[str, Any], sessions: pd.DataFrame) -> Path:
    """Write ``report.json``, ``report.html`` and ``sessions.parquet``; return the page's path.

    Args:
        folder: Where they go; made when needed, files of a test before are replaced.
        document: As ``summarise`` returns it.
        sessions: As ``session_table`` returns it.
    """
    with staged_path(folder / "sessions.parquet") as staging:
        sessions.to_parquet(staging)
    with staged_path(folder / "report.json") as staging:
        staging.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n")
    path = folder / "report.html"
    with staged_path(path) as staging:
        staging.write_text(report_page(document), encoding="utf-8")
    return path


def findings(document: Mapping[str, Any]) -> list[str]:
    """Return what came out, in one sentence per figure.

    Args:
        document: As ``summarise`` returns it.
    """
    lines = []
    for name, title in METRIC_NAMES.items():
        found = document["differences"][name]
        told = f"{title}: B - A is {found['difference']:+.4g}"
        if found["low"] is None:
            lines.append(f"{told}, without an interval")
            continue
        told += f" [{found['low']:+.4g}, {found['high']:+.4g}]"
        lines.append(f"{told}, {_clearness(found)}")
    failed = sum(arm["failed_requests"] for arm in document["arms"].values())
    released = sum(arm["released_slots"] for arm in document["arms"].values())
    requests = sum(arm["requests"] for arm in document["arms"].values())
    lines.append(f"{requests} requests, {failed} failed, {released} slots on released items")
    return lines


def _clearness(found: Mapping[str, Any]) -> str:
    """Return since when a difference is clear; one that changes over time may blur again."""
    after = found["clear_after_sessions"]
    if after is None:
        return "not clear"
    if found["low"] <= 0.0 <= found["high"]:
        return f"clear after {after} sessions, but not over all of them"
    return f"clear after {after} sessions"


def report_page(document: Mapping[str, Any]) -> str:
    """Return the report as one HTML page that needs nothing beside itself.

    Args:
        document: As ``summarise`` returns it.
    """
    arms = document["arms"]
    title = f"A/B test: {arms['A']['model']} against {arms['B']['model']}"
    return page(title, [element("h1", title), *_body(document)])


def _body(document: Mapping[str, Any]) -> Iterator[str]:
    yield bullets(findings(document))
    yield element("h2", "The arms")
    rows = list(document["arms"]["A"])
    rows.remove("failures")
    yield table(
        ("", "A", "B"),
        [
            (name.replace("_", " "), *(_shown(document["arms"][arm][name]) for arm in ("A", "B")))
            for name in rows
        ],
    )
    for arm, figures in document["arms"].items():
        yield bullets(
            [f"{arm}: {count} times {text}" for text, count in figures["failures"].items()],
            class_="failed",
        )
    yield element("h2", "The difference, B minus A, over time")
    text = "Difference and its sequential interval after each number of sessions"
    yield picture(_plot(document), text)
    yield element("h4", "How to read this page")
    yield bullets(HOW_TO_READ)
    yield from _changes(document)
    yield element("h2", "Settings")
    yield table(("", ""), [(name, _shown(value)) for name, value in document["settings"].items()])


def _changes(document: Mapping[str, Any]) -> Iterator[str]:
    if not document["changes"]:
        return
    yield element("h2", "Changes of the catalogue")
    columns = ("sessions", "arm", "added", "released", "seconds", "version", "refused")
    yield table(
        ("after sessions", *columns[1:]),
        [[_shown(change[name]) for name in columns] for change in document["changes"]],
    )


def _plot(document: Mapping[str, Any]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 6.5), layout="constrained")
    looks = [look["sessions"] for look in document["over_time"]]
    changes = {change["sessions"] for change in document["changes"] if change["sessions"]}
    for panel, (name, title) in zip(figure.subplots(2, 2).flat, METRIC_NAMES.items(), strict=True):
        curve = np.array([look[name] for look in document["over_time"]], dtype=np.float64)
        curve = curve.reshape(-1, 3)
        panel.axhline(0.0, color="black", linewidth=0.8)
        for change in changes:
            panel.axvline(change, color="grey", linestyle=":", linewidth=0.8)
        panel.plot(looks, curve[:, 0])
        panel.fill_between(looks, curve[:, 1], curve[:, 2], alpha=0.25)
        panel.set_title(title, fontsize="medium")
        panel.set_xlabel("sessions (dotted: the catalogue changed)" if changes else "sessions")
        panel.grid(alpha=0.3)
    return figure


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
