"""Figures that describe a canonical log, computed where the log is."""

from __future__ import annotations

import datetime
from typing import Any

import ibis


def summarise_log(interactions: ibis.Table, slates: ibis.Table, time_unit: str) -> dict[str, Any]:
    """Return size, date span and label rate of a log.

    Args:
        interactions: The canonical table.
        slates: The canonical table.
        time_unit: Unit of the timestamps, ``"s"`` or ``"ms"``.
    """
    events = (
        interactions.agg(
            rows=interactions.count(),
            positives=interactions.label.cast("int64").sum(),
            first=interactions.timestamp.min(),
            last=interactions.timestamp.max(),
            outside=(interactions.slate_index < 0).sum(),
        )
        .execute()
        .iloc[0]
    )
    cut = (
        slates.group_by("split").agg(rows=lambda t: t.count()).execute().set_index("split")["rows"]
    )
    users_with_slates = int(slates.user_index.nunique().execute())
    return {
        "events": int(events["rows"]),
        "positives": int(events["positives"]),
        "label_rate": float(events["positives"]) / float(events["rows"]),
        "first_event": _iso(int(events["first"]), time_unit),
        "last_event": _iso(int(events["last"]), time_unit),
        "events_outside_slates": int(events["outside"]),
        "users_with_slates": users_with_slates,
        "slates": {name: int(cut.get(name, 0)) for name in ("train", "test")},
    }


def _iso(timestamp: int, time_unit: str) -> str:
    seconds = timestamp / 1000 if time_unit == "ms" else timestamp
    moment = datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc)
    return moment.isoformat(timespec="seconds")
