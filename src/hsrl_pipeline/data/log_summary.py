"""Figures that describe a canonical log, computed where the log is."""

from __future__ import annotations

import datetime
from typing import Any

import ibis
import numpy as np
import pandas as pd


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


def count_popularity(interactions: ibis.Table, slates: ibis.Table) -> pd.DataFrame:
    """Return how often each item was shown and liked, in all and in training slates.

    Returns:
        ``item_index`` (int32, ascending), ``n_events``, ``n_positives``, ``n_train_events`` and
        ``n_train_positives`` (int64).
    """
    n_train = slates.filter(slates.split == "train").select(train_slate="slate_index")
    marked = interactions.left_join(n_train, interactions.slate_index == n_train.train_slate)
    in_train = marked.train_slate.notnull().cast("int64")
    label = marked.label.cast("int64")
    counted: pd.DataFrame = (
        marked.mutate(in_train=in_train, train_label=in_train * label)
        .group_by("item_index")
        .agg(
            n_events=lambda t: t.count(),
            n_positives=lambda t: t.label.cast("int64").sum(),
            n_train_events=lambda t: t.in_train.sum(),
            n_train_positives=lambda t: t.train_label.sum(),
        )
        .order_by("item_index")
        .execute()
    )
    counts = {name: np.int64 for name in counted.columns if name.startswith("n_")}
    return counted.astype({"item_index": np.int32, **counts})


def _iso(timestamp: int, time_unit: str) -> str:
    seconds = timestamp / 1000 if time_unit == "ms" else timestamp
    moment = datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc)
    return moment.isoformat(timespec="seconds")
