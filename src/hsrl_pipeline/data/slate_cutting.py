"""From good events to slates, split, indices and timelines: the heavy part, all in Ibis.

Users and items are first given provisional numbers, so that every sort and join of the large
table works on integers. Their final indices depend on the split: who and what occurs in training
slates is numbered first, so no index of the training split depends on test rows.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.types as ir

from hsrl_pipeline.data.engine import Engine
from hsrl_pipeline.data.event_store import EventManifest
from hsrl_pipeline.data.sources import SplitRule
from hsrl_pipeline.errors import UserError


@dataclass(frozen=True)
class CutLog:
    """Canonical tables of a log, staged as parquet files.

    Attributes:
        interactions: One row per logged event.
        slates: One row per complete slate.
        timeline: The positives of each user in time order.
        users: ``user_id``, ``user_index``, ``in_train``, by index.
        items: ``item_id``, ``item_index``, ``in_train``, by index.
        has_sessions: Whether interactions and slates carry ``session_index``.
    """

    interactions: Path
    slates: Path
    timeline: Path
    users: Path
    items: Path
    has_sessions: bool


def cut_log(engine: Engine, events: ibis.Table, manifest: EventManifest) -> CutLog:
    """Cut, split and index the events of a log.

    Args:
        engine: Where to run.
        events: Good events; see `hsrl_pipeline.data.event_checks.CheckedEvents`.
        manifest: How to cut and split them.

    Raises:
        UserError: No user has enough events for one slate, or a split would be empty.
    """
    size = manifest.slates.size
    user_keys = engine.persist(_numbered_ids(events, "user_id", "user_key"), "user_keys")
    item_keys = engine.persist(_numbered_ids(events, "item_id", "item_key"), "item_keys")
    ordered = engine.persist(_ordered(events, user_keys, item_keys, manifest), "ordered")
    grouped = engine.persist(_group_slates(ordered), "grouped")
    n_slates = int(grouped.count().execute())
    slates = engine.persist(_split_slates(grouped, n_slates, user_keys, manifest), "split")
    n_train = int(slates.filter(slates.is_train).count().execute())
    _require_both_splits(n_slates, n_train, size, manifest.split)
    numbered = slates.select(
        "slate_index", "is_train", slate_user="user_key", first_place="slate_number"
    )
    placed = ordered.left_join(
        numbered,
        [ordered.user_key == numbered.slate_user, ordered.slate_number == numbered.first_place],
    ).drop("slate_user", "first_place")
    train_users = slates.filter(slates.is_train).select("user_key").distinct()
    train_items = placed.filter(placed.is_train).select("item_key").distinct()
    users = engine.persist(_final_index(user_keys, train_users, "user"), "users")
    items = engine.persist(_final_index(item_keys, train_items, "item"), "items")
    return _write_tables(engine, placed, slates, (users, items), size)


def _numbered_ids(events: ibis.Table, name: str, key: str) -> ibis.Table:
    """Return the distinct ids with numbers from 0: shorter ids first, then by code point.

    For whole numbers that is their numeric order, on every engine. ``n_prior`` and ``n_logged``
    count the events of each.
    """
    prior = events.prior if "prior" in events.columns else ibis.literal(False)
    ids = events.group_by(name).agg(
        n_prior=events.count(where=prior), n_logged=events.count(where=~prior)
    )
    order = ibis.row_number().over(order_by=[ids[name].length(), ids[name]])
    return ids.mutate(order.cast("int32").name(key))


def _ordered(
    events: ibis.Table, user_keys: ibis.Table, item_keys: ibis.Table, manifest: EventManifest
) -> ibis.Table:
    """Return events with their place in the user's sequence and the slate that they fall in.

    ``place`` counts a user's logged events from 0; what was known before the log comes first and
    has negative places.
    """
    given = manifest.slates.given
    has_prior = "prior" in events.columns
    numbered_items = item_keys.select("item_id", "item_key")
    keyed = events.join(user_keys, "user_id").join(numbered_items, "item_id")
    keyed = keyed.drop("user_id", "item_id")
    sequence = [keyed.timestamp, keyed.order]
    if has_prior:
        sequence.insert(0, keyed.prior.desc())
    if given:
        sequence.append(keyed.position)
    by_user = ibis.window(group_by="user_key", order_by=sequence)
    so_far = ibis.cumulative_window(group_by="user_key", order_by=sequence)
    placed = keyed.select(
        "user_key",
        "item_key",
        "timestamp",
        "value",
        "label",
        "n_logged",
        place=(ibis.row_number().over(by_user) - keyed.n_prior).cast("int32"),
        positives_before=keyed.count(where=keyed.label == 1).over(so_far) - keyed.label,
        **({"slate_id": keyed.slate_id, "position": keyed.position} if given else {}),
    )
    if given:
        return _in_given_slates(placed)
    if manifest.slates.session_gap is not None:
        return _in_sessions(placed, manifest.slates.size, manifest.slates.session_gap)
    return _in_fixed_cuts(placed, manifest.slates.size)


def _in_given_slates(placed: ibis.Table) -> ibis.Table:
    """Number each user's slates by the place of their first event."""
    whole = ibis.window(group_by=["user_key", "slate_id"])
    logged = placed.place >= 0
    number = ibis.ifelse(logged, placed.place, ibis.null("int32")).min().over(whole)
    return placed.select(
        *_KEPT,
        slate_number=ibis.ifelse(logged, number, ibis.null("int32")),
        position="position",
        session_number=ibis.literal(0, "int32"),
    )


def _in_fixed_cuts(placed: ibis.Table, size: int) -> ibis.Table:
    """Cut each user's sequence into consecutive slates; the last may be incomplete."""
    position = placed.place % size
    first = placed.place - position
    complete = (placed.place >= 0) & (first + size <= placed.n_logged)
    return _with_slates(placed, first, position, complete).mutate(
        session_number=ibis.literal(0, "int32")
    )


def _in_sessions(placed: ibis.Table, size: int, session_gap: int) -> ibis.Table:
    """Cut consecutive slates inside sessions: no slate reaches across a longer pause."""
    by_user = ibis.window(group_by="user_key", order_by="place")
    opens = (placed.place > 0) & (
        placed.timestamp - placed.timestamp.lag().over(by_user) > session_gap
    )
    opened = placed.mutate(opens=opens.fill_null(False))
    up_to = ibis.cumulative_window(group_by="user_key", order_by="place")
    numbered = opened.mutate(
        session_number=opened.count(where=opened.opens).over(up_to).cast("int32"),
        logged=opened.place >= 0,
    )
    session = ibis.window(group_by=["user_key", "logged", "session_number"])
    bounded = numbered.mutate(
        start=numbered.place.min().over(session), end=numbered.place.max().over(session)
    )
    position = (bounded.place - bounded.start) % size
    first = bounded.place - position
    complete = bounded.logged & (first + size - 1 <= bounded.end)
    return _with_slates(bounded, first, position, complete, "session_number")


def _with_slates(
    placed: ibis.Table,
    first: ir.IntegerValue,
    position: ir.IntegerValue,
    complete: ir.BooleanValue,
    *extra: str,
) -> ibis.Table:
    """Return events with the place of their slate's first event, null outside complete slates."""
    return placed.select(
        *_KEPT,
        *extra,
        slate_number=ibis.ifelse(complete, first, ibis.null("int32")).cast("int32"),
        position=ibis.ifelse(complete, position, ibis.null("int32")).cast("int8"),
    )


_KEPT = (
    "user_key",
    "item_key",
    "timestamp",
    "value",
    "label",
    "place",
    "positives_before",
)


def _group_slates(ordered: ibis.Table) -> ibis.Table:
    """Return one row per complete slate, numbered by the time of its last event."""
    events = ordered.filter(ordered.slate_number.notnull())
    slates = events.group_by(["user_key", "slate_number"]).agg(
        timestamp=lambda t: t.timestamp.max(),
        positives_before=lambda t: t.positives_before.min(),
        session_number=lambda t: t.session_number.min(),
    )
    by_time = [slates.timestamp, slates.user_key, slates.slate_number]
    return slates.mutate(slate_index=ibis.row_number().over(order_by=by_time).cast("int32"))


def _split_slates(
    slates: ibis.Table, n_slates: int, user_keys: ibis.Table, manifest: EventManifest
) -> ibis.Table:
    """Return the slates with ``is_train``."""
    rule = manifest.split
    if rule.kind == "time_share":
        n_train = int(n_slates * rule.train_share + 1e-9)
        return slates.mutate(is_train=slates.slate_index < n_train)
    if rule.kind == "day":
        return slates.mutate(is_train=slates.timestamp < _first_test_time(manifest))
    named = slates.join(user_keys, "user_key")
    remainder = named.user_id.try_cast("int64") % rule.modulo
    return named.mutate(is_train=remainder.isin(rule.train_remainders)).drop("user_id")


def _first_test_time(manifest: EventManifest) -> int:
    """Return the first timestamp of the test split of a split by day."""
    day = datetime.datetime.fromisoformat(str(manifest.split.first_test_day))
    midnight = int(day.replace(tzinfo=datetime.timezone.utc).timestamp())
    seconds = midnight - manifest.utc_offset_hours * 3600
    return seconds * (1000 if manifest.time_unit == "ms" else 1)


def _require_both_splits(n_slates: int, n_train: int, size: int, split: SplitRule) -> None:
    if n_slates == 0:
        raise UserError(
            f"No user has {size} events, so there is no complete slate",
            where="ingestion.slate_size",
            remedy="Bring a larger log or set a smaller ingestion.slate_size.",
        )
    if n_train in (0, n_slates):
        empty = "training" if n_train == 0 else "test"
        raise UserError(
            f"The {empty} split would be empty: {n_train} of {n_slates} slates are training data",
            where=f"split by {split.kind}",
            remedy="Change the split's parameters or bring a longer log.",
        )


def _final_index(keys: ibis.Table, in_train: ibis.Table, name: str) -> ibis.Table:
    """Return ids with their index from 1: those of the training split first."""
    key = f"{name}_key"
    known = in_train.select(key, in_train=ibis.literal(True)).rename(train_key=key)
    marked = keys.left_join(known, keys[key] == known.train_key).drop("train_key")
    marked = marked.mutate(in_train=marked.in_train.fill_null(False))
    order = ibis.row_number().over(order_by=[marked.in_train.desc(), marked[key]])
    return marked.mutate((order + 1).cast("int32").name(f"{name}_index"))


def _write_tables(
    engine: Engine,
    placed: ibis.Table,
    slates: ibis.Table,
    indices: tuple[ibis.Table, ibis.Table],
    size: int,
) -> CutLog:
    """Write the canonical tables with the final indices of users and items."""
    users, items = indices
    has_sessions = bool((slates.session_number.max() > 0).execute())
    names = ("interactions", "slates", "timeline", "users", "items")
    paths = {name: engine.fresh_path(name) for name in names}
    indexed = placed.join(users.select("user_key", "user_index"), "user_key").join(
        items.select("item_key", "item_index"), "item_key"
    )
    engine.write(_interactions(indexed, has_sessions), paths["interactions"])
    positives = indexed.filter(indexed.label == 1)
    timeline = positives.order_by("user_index", "place").select("item_index")
    engine.write(timeline, paths["timeline"])
    wide = _wide_slates(engine.read(paths["interactions"]), size)
    starts = _timeline_starts(positives)
    keyed = slates.join(users.select("user_key", "user_index"), "user_key")
    engine.write(_slates(keyed, starts, wide, has_sessions), paths["slates"])
    for name, table in (("user", users), ("item", items)):
        kept = table.select(f"{name}_index", f"{name}_id", "in_train").order_by(f"{name}_index")
        engine.write(kept, paths[f"{name}s"])
    return CutLog(has_sessions=has_sessions, **paths)


def _interactions(indexed: ibis.Table, has_sessions: bool) -> ibis.Table:
    """Return the canonical interactions, by user and in the order of events."""
    logged = indexed.filter(indexed.place >= 0)
    extra = {"session_index": logged.session_number} if has_sessions else {}
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
    # DuckDB sums whole numbers to 128 bits, which parquet has not: go by float64, exact to 2^53
    past = counts.positives.cast("float64").sum().over(up_to) - counts.positives
    start = past.cast("int64")
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
    joined = rows.join(shown, rows.slate_index == shown.wide_slate)
    return joined.order_by("slate_index").drop("wide_slate")


def _wide_slates(interactions: ibis.Table, size: int) -> ibis.Table:
    """Return one row per slate with its items and labels side by side."""
    shown = interactions.filter(interactions.slate_index >= 0)

    def at(position: int, column: ir.Column) -> ir.Column:
        return ibis.ifelse(shown.position == position, column, ibis.null(column.type())).max()

    columns = {f"item_{k}": at(k, shown.item_index) for k in range(size)}
    columns |= {f"label_{k}": at(k, shown.label) for k in range(size)}
    return shown.group_by("slate_index").agg(**columns)
