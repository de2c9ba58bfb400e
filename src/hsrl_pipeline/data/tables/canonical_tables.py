"""From placed events to the canonical tables with their final indices.

Who and what occurs in training slates is numbered first, so that no index of the training split
depends on test rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import pandas as pd

from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.data.tables.slate_cutting import PlacedEvents, as_int64

COUNTS = ("n_events", "n_positives", "n_train_events", "n_train_positives")


@dataclass(frozen=True)
class CutLog:
    """Canonical tables of a log, staged as parquet files, and who and what they are about.

    Attributes:
        interactions: One row per logged event.
        slates: One row per complete slate.
        timeline: The positives of each user in time order.
        users: ``user_index``, ``user_id``, ``in_train``, by index.
        items: ``item_index``, ``item_id``, ``in_train`` and counts of events, by index.
    """

    interactions: Path
    slates: Path
    timeline: Path
    users: pd.DataFrame
    items: pd.DataFrame


def write_tables(engine: Engine, placed: PlacedEvents, slate_size: int) -> CutLog:
    """Write the canonical tables.

    Args:
        engine: Where to run.
        placed: Events and slates under provisional numbers.
        slate_size: Items per slate (K).
    """
    has_sessions = bool((placed.slates.session_number.max() > 0).execute())
    train_users = placed.slates.filter(placed.slates.is_train).group_by("user_key").agg()
    train_users = train_users.mutate(in_train=ibis.literal(True))
    users = engine.persist(_final_index(placed.users, train_users, "user"), "users")
    counts = engine.persist(_item_counts(placed.events), "item_counts")
    known = placed.items.semi_join(counts, "item_key")
    items = engine.persist(_final_index(known, counts, "item"), "items")
    indexed = placed.events.join(users.select("user_key", "user_index"), "user_key").join(
        items.select("item_key", "item_index"), "item_key"
    )
    paths = {name: engine.fresh_path(name) for name in ("interactions", "slates", "timeline")}
    engine.write(_interactions(indexed, has_sessions), paths["interactions"])
    interactions = engine.read(paths["interactions"])
    positives = indexed.filter(indexed.label == 1)
    timeline = positives.order_by("user_index", "place").select("item_index")
    engine.write(timeline, paths["timeline"])
    keyed = placed.slates.join(users.select("user_key", "user_index"), "user_key")
    wide = _wide_slates(interactions, slate_size)
    slates = _slates(keyed, _timeline_starts(positives), wide, has_sessions)
    engine.write(_unpacked(slates, slate_size), paths["slates"])
    return CutLog(
        **paths,
        users=users.select("user_index", "user_id", "in_train").order_by("user_index").execute(),
        items=items.select("item_index", "item_id", "in_train", *COUNTS)
        .order_by("item_index")
        .execute(),
    )


def _item_counts(events: ibis.Table) -> ibis.Table:
    """Return how often each item was shown and liked, in all and in training slates."""
    logged = events.place >= 0
    train = events.is_train.fill_null(False)
    liked = events.label == 1
    return events.group_by("item_key").agg(
        in_train=train.any(),
        n_events=events.count(where=logged),
        n_positives=events.count(where=logged & liked),
        n_train_events=events.count(where=train),
        n_train_positives=events.count(where=train & liked),
    )


def _final_index(keys: ibis.Table, facts: ibis.Table, name: str) -> ibis.Table:
    """Return ids with their index from 1, those of the training split first, and the facts."""
    key = f"{name}_key"
    known = facts.rename(known_key=key)
    marked = keys.select(f"{name}_id", key).left_join(known, keys[key] == known.known_key)
    marked = marked.drop("known_key").mutate(in_train=marked.in_train.fill_null(False))
    order = ibis.row_number().over(order_by=[marked.in_train.desc(), marked[key]])
    return marked.mutate((order + 1).cast("int32").name(f"{name}_index"))


def _interactions(indexed: ibis.Table, has_sessions: bool) -> ibis.Table:
    """Return the canonical interactions, by user and in the order of events."""
    logged = indexed.filter(indexed.place >= 0)
    extra: dict[str, Any] = {"session_index": logged.session_number} if has_sessions else {}
    if "propensity" in logged.columns:
        extra["propensity"] = logged.propensity
    return logged.order_by("user_index", "place").select(
        "user_index",
        "item_index",
        "timestamp",
        "label",
        "value",
        slate_index=logged.slate_index.fill_null(-1).cast("int32"),
        position=logged.position.fill_null(-1).cast("int8"),
        **extra,
    )


def _timeline_starts(positives: ibis.Table) -> ibis.Table:
    """Return where each user's positives start in the timeline."""
    counts = positives.group_by("user_index").agg(positives=lambda t: t.count())
    up_to = ibis.cumulative_window(order_by="user_index")
    start = as_int64(counts.positives.sum().over(up_to)) - counts.positives
    return counts.select(start_user="user_index", start=start)


def _slates(
    slates: ibis.Table, starts: ibis.Table, wide: ibis.Table, has_sessions: bool
) -> ibis.Table:
    """Return the canonical slates: split, history pointers, items and labels side by side."""
    placed = slates.left_join(starts, slates.user_index == starts.start_user)
    start = placed.start.fill_null(0)
    extra = {"session_index": placed.session_number} if has_sessions else {}
    rows = placed.select(
        "slate_index",
        "user_index",
        "timestamp",
        split=ibis.ifelse(placed.is_train, "train", "test"),
        history_start=start,
        history_end=(start + placed.positives_before).cast("int64"),
        **extra,
    )
    shown = wide.rename(wide_slate="slate_index")
    return rows.join(shown, rows.slate_index == shown.wide_slate).drop("wide_slate")


def _wide_slates(interactions: ibis.Table, size: int) -> ibis.Table:
    """Return one row per slate: item and label of each position as one number, and propensities.

    Half as many aggregates make the costliest step of a long log half as costly.
    """
    shown = interactions.filter(interactions.slate_index >= 0)
    packed = shown.item_index.cast("int64") * 2 + shown.label
    places = {
        f"packed_{k}": ibis.ifelse(shown.position == k, packed, ibis.null("int64")).max()
        for k in range(size)
    }
    if "propensity" in shown.columns:
        nothing = ibis.null("float32")
        places |= {
            f"propensity_{k}": ibis.ifelse(shown.position == k, shown.propensity, nothing).max()
            for k in range(size)
        }
    return shown.group_by("slate_index").agg(**places)


def _unpacked(slates: ibis.Table, size: int) -> ibis.Table:
    """Return the slates by index with items and labels in columns of their own."""
    packed = [slates[f"packed_{k}"] for k in range(size)]
    columns = {f"item_{k}": (both // 2).cast("int32") for k, both in enumerate(packed)}
    columns |= {f"label_{k}": (both % 2).cast("int8") for k, both in enumerate(packed)}
    kept = [name for name in slates.columns if not name.startswith("packed_")]
    return slates.order_by("slate_index").select(*kept, **columns)
