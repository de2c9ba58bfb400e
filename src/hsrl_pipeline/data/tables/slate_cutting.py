"""From good events to slates and splits: the heavy part, all in Ibis.

Users and items are first given provisional numbers, so that every sort and join of the large
table works on integers.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from hsrl_pipeline.data.accounts import describe_losses
from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.data.events.store import EventManifest, LoggedEvents
from hsrl_pipeline.errors import UserError


@dataclass(frozen=True)
class PlacedEvents:
    """Events with the slate that each falls in, under provisional numbers.

    Attributes:
        events: ``user_key``, ``item_key``, ``timestamp``, ``value``, ``label``, ``place`` (in the
            user's sequence, from 0; negative for what was known before the log),
            ``session_number``, and ``position``, ``slate_index``, ``is_train``: null outside
            complete slates; where the source has it, ``propensity``.
        slates: ``slate_index`` by the time of the last event, ``user_key``, ``timestamp``,
            ``positives_before``, ``session_number``, ``is_train``.
        users: ``user_id``, ``user_key``.
        items: ``item_id``, ``item_key``.
    """

    events: ibis.Table
    slates: ibis.Table
    users: ibis.Table
    items: ibis.Table


def place_events(engine: Engine, logged: LoggedEvents, manifest: EventManifest) -> PlacedEvents:
    """Cut the events of each user into slates and split the slates.

    Args:
        engine: Where to run.
        logged: All good events.
        manifest: How to cut and split them.

    Raises:
        UserError: No user has enough events for one slate, or a split would be empty.
    """
    ordered = engine.persist(_ordered(logged.events, manifest), "ordered")
    users = logged.users.semi_join(ordered, "user_key")
    grouped = engine.persist(_group_slates(ordered, manifest.slates.size), "grouped")
    n_slates = int(grouped.count().execute())
    slates = engine.persist(_split_slates(grouped, n_slates, users, manifest), "split")
    n_train = int(slates.filter(slates.is_train).count().execute())
    if n_slates == 0:
        raise _no_slate(ordered, manifest)
    _require_both_splits(n_slates, n_train, manifest)
    numbered = slates.select("slate_index", "is_train", slate_user="user_key", slate_cut="cut")
    placed = ordered.left_join(
        numbered, [ordered.user_key == numbered.slate_user, ordered.cut == numbered.slate_cut]
    )
    in_slate = placed.slate_index.notnull()
    placed = placed.select(
        *_KEPT,
        *(name for name in ("propensity",) if name in placed.columns),
        "session_number",
        "slate_index",
        "is_train",
        position=ibis.ifelse(in_slate, placed.position, ibis.null("int8")),
    )
    return PlacedEvents(
        events=engine.persist(placed, "placed"), slates=slates, users=users, items=logged.items
    )


def _ordered(events: ibis.Table, manifest: EventManifest) -> ibis.Table:
    """Return events with their place in the user's sequence and the cut that they fall in.

    ``cut`` is the place of the first event of the same slate, complete or not; -1 for what was
    known before the log.
    """
    given = manifest.slates.given
    fine = "nanoseconds" in events.columns
    sequence = [events.timestamp, *([events.nanoseconds] if fine else []), events.order]
    if given:
        sequence.append(events.position)
    has_prior = "prior" in events.columns
    if has_prior:
        sequence.insert(0, events.prior.desc())
    place = ibis.row_number().over(ibis.window(group_by="user_key", order_by=sequence))
    if has_prior:
        place = place - events.count(where=events.prior).over(ibis.window(group_by="user_key"))
    placed = events.select(
        "user_key",
        "item_key",
        "timestamp",
        "value",
        "label",
        place=place.cast("int32"),
        **{name: events[name] for name in _OPTIONAL if name in events.columns},
        **({"slate_id": events.slate_id, "position": events.position} if given else {}),
    )
    if given:
        return _in_given_slates(placed)
    if manifest.slates.session_gap is not None:
        return _in_sessions(placed, manifest.slates.size, manifest.slates.session_gap)
    return _in_fixed_cuts(placed, manifest.slates.size)


_KEPT = ("user_key", "item_key", "timestamp", "value", "label", "place")
_OPTIONAL = ("nanoseconds", "propensity")


def _kept(placed: ibis.Table) -> list[str]:
    """Return the columns to carry on until slates are numbered."""
    return [*_KEPT, *(name for name in _OPTIONAL if name in placed.columns)]


def _in_given_slates(placed: ibis.Table) -> ibis.Table:
    """Number each user's slates by the place of their first event; their events may interleave."""
    whole = ibis.window(group_by=["user_key", "slate_id"])
    so_far = ibis.cumulative_window(group_by="user_key", order_by="place")
    logged = placed.place >= 0
    first = ibis.ifelse(logged, placed.place, ibis.null("int32")).min().over(whole)
    return placed.select(
        *_kept(placed),
        "position",
        cut=ibis.ifelse(logged, first, -1).cast("int32"),
        session_number=ibis.literal(0, "int32"),
        positives_before=placed.count(where=placed.label == 1).over(so_far) - placed.label,
    )


def _in_fixed_cuts(placed: ibis.Table, size: int) -> ibis.Table:
    """Cut each user's sequence into consecutive slates; the last may be incomplete."""
    position = placed.place % size
    first = placed.place - position
    return placed.select(
        *_kept(placed),
        position=position.cast("int8"),
        cut=ibis.ifelse(placed.place >= 0, first, -1).cast("int32"),
        session_number=ibis.literal(0, "int32"),
    )


def _in_sessions(placed: ibis.Table, size: int, session_gap: int) -> ibis.Table:
    """Cut consecutive slates inside sessions: no slate reaches across a longer pause."""
    by_user = ibis.window(group_by="user_key", order_by="place")
    up_to = ibis.cumulative_window(group_by="user_key", order_by="place")
    pause = placed.timestamp - placed.timestamp.lag().over(by_user)
    opened = placed.mutate(opens=((placed.place > 0) & (pause > session_gap)).fill_null(False))
    numbered = opened.mutate(
        session_number=opened.count(where=opened.opens).over(up_to).cast("int32"),
        logged=opened.place >= 0,
    )
    session = ibis.window(group_by=["user_key", "logged", "session_number"])
    bounded = numbered.mutate(start=numbered.place.min().over(session))
    position = (bounded.place - bounded.start) % size
    first = bounded.place - position
    return bounded.select(
        *_kept(bounded),
        position=position.cast("int8"),
        cut=ibis.ifelse(bounded.logged, first, -1).cast("int32"),
        session_number="session_number",
    )


def _group_slates(ordered: ibis.Table, size: int) -> ibis.Table:
    """Return one row per complete slate, numbered by the time of its last event."""
    interleaved = "positives_before" in ordered.columns
    fine = "nanoseconds" in ordered.columns
    cuts = ordered.group_by(["user_key", "cut"]).agg(
        timestamp=ordered.timestamp.max(),
        session_number=ordered.session_number.min(),
        events=ordered.count(),
        positives=ordered.count(where=ordered.label == 1),
        **({"positives_before": ordered.positives_before.min()} if interleaved else {}),
        **({"nanoseconds": ordered.nanoseconds.argmax(ordered.place)} if fine else {}),
    )
    if not interleaved:  # cuts follow one another, so that sums of whole cuts do
        so_far = ibis.cumulative_window(group_by="user_key", order_by="cut")
        before = as_int64(cuts.positives.sum().over(so_far)) - cuts.positives
        cuts = cuts.mutate(positives_before=before)
    slates = cuts.filter((cuts.cut >= 0) & (cuts.events == size)).drop("events", "positives")
    finer = [slates.nanoseconds] if fine else []
    by_time = [slates.timestamp, *finer, slates.user_key, slates.cut]
    numbered = slates.mutate(slate_index=ibis.row_number().over(order_by=by_time).cast("int32"))
    return numbered.drop("nanoseconds") if fine else numbered


def as_int64(total: ir.NumericValue) -> ir.IntegerValue:
    """Return a sum as int64.

    DuckDB sums whole numbers to 128 bits, which parquet does not know. Ibis believes that they
    have 64 bits and would leave out a plain cast, so the sum is cast to float64 first, which is
    exact up to 2^53.
    """
    return total.cast("float64").cast("int64")


def _split_slates(
    slates: ibis.Table, n_slates: int, users: ibis.Table, manifest: EventManifest
) -> ibis.Table:
    """Return the slates with ``is_train``."""
    rule = manifest.split
    if rule.kind == "time_share":
        n_train = int(n_slates * rule.train_share + 1e-9)
        return slates.mutate(is_train=slates.slate_index < n_train)
    if rule.kind == "day":
        return slates.mutate(is_train=slates.timestamp < _first_test_time(manifest))
    named = slates.join(users, "user_key")
    remainder = named.user_id.try_cast("int64") % rule.modulo
    return named.mutate(is_train=remainder.isin(rule.train_remainders)).drop("user_id")


def _first_test_time(manifest: EventManifest) -> int:
    """Return the first timestamp of the test split of a split by day."""
    day = datetime.datetime.fromisoformat(str(manifest.split.first_test_day))
    midnight = int(day.replace(tzinfo=datetime.timezone.utc).timestamp())
    seconds = midnight - manifest.utc_offset_hours * 3600
    return seconds * (1000 if manifest.time_unit == "ms" else 1)


def _no_slate(ordered: ibis.Table, manifest: EventManifest) -> UserError:
    """Return the message that says how far the events are from one complete slate."""
    logged = ordered.filter(ordered.place >= 0)
    # without given slates, events of one user in one session are cut together
    runs = logged.group_by(["user_key", "session_number"]).agg(events=lambda t: t.count())
    counts = runs.agg(
        users=runs.user_key.nunique(), events=runs.events.sum(), most=runs.events.max()
    ).execute()
    users, events, most = (int(counts[name].iloc[0]) for name in ("users", "events", "most"))
    size = manifest.slates.size
    within = " within one session" if manifest.slates.session_gap is not None else ""
    return UserError(
        f"No user has {size} events{within}, so there is no complete slate: the {events} events "
        f"that count are of {users} users, at most {most}{within} of one user",
        where="ingestion.slate_size",
        remedy="Bring a larger log or set a smaller ingestion.slate_size." + _dropped(manifest),
    )


def _require_both_splits(n_slates: int, n_train: int, manifest: EventManifest) -> None:
    if n_train in (0, n_slates):
        empty = "training" if n_train == 0 else "test"
        raise UserError(
            f"The {empty} split would be empty: {n_train} of {n_slates} slates are training data",
            where=f"split by {manifest.split.kind}",
            remedy="Change the split's parameters or bring a longer log." + _dropped(manifest),
        )


def _dropped(manifest: EventManifest) -> str:
    """Return what rows were lost before, as a sentence to add; nothing where none were."""
    accounts = manifest.merged_accounts()
    if not accounts.bad:
        return ""
    return (
        f" Of {accounts.rows_in} rows {accounts.rows_dropped} were dropped before: "
        f"{describe_losses(accounts)}."
    )
