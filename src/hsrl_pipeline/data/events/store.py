"""Good events on disk, in one base batch and one partition per later day.

A manifest names the batches that count. A batch is first written under a fresh name and takes
effect when the manifest that names it replaces the old one, so a killed run leaves the last good
state.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import ibis

from hsrl_pipeline.atomic import move_into_place
from hsrl_pipeline.data.accounts import RowAccounts, nothing_left
from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.data.events.checks import CheckedEvents, day_bounds
from hsrl_pipeline.data.ids import GOOD
from hsrl_pipeline.data.sources.source_log import SlateRule, SourceLog, SplitRule
from hsrl_pipeline.errors import UserError

MANIFEST = "manifest.json"
PARTS = ("events", "users", "items")
EXCLUDED = "excluded"
NANOSECONDS = "nanoseconds"
FEATURES = "features"


@dataclass(frozen=True)
class EventManifest:
    """Which batches of events count, and how they are cut and split.

    Attributes:
        base: Folder of the whole log as it was last ingested; None when there is none.
        days: Folder of each day's partition, by day; it replaces that day of the base.
        day_starts: First timestamp of each partitioned day.
        accounts: Accounts of the events of ``"base"`` and of each day, and under ``"features"`` of
            all other files.
        slates: How events become slates.
        split: Which slates are training data.
        time_unit: Unit of the timestamps.
        utc_offset_hours: Time zone in which a day begins.
        settings: Parameters that all batches share (`log_settings`); empty in a manifest of an
            earlier version.
    """

    base: str | None
    days: dict[str, str]
    day_starts: dict[str, int]
    accounts: dict[str, dict[str, Any]]
    slates: SlateRule
    split: SplitRule
    time_unit: str
    utc_offset_hours: int
    settings: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as a JSON-able dictionary."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EventManifest:
        """Return the manifest held in a dictionary as `to_dict` makes it."""
        split = dict(values["split"])
        split["train_remainders"] = tuple(split["train_remainders"])
        return cls(
            **{**values, "slates": SlateRule(**values["slates"]), "split": SplitRule(**split)}
        )

    @property
    def day_length(self) -> int:
        """Length of a day in the unit of the timestamps."""
        return 86_400_000 if self.time_unit == "ms" else 86_400

    @property
    def batches(self) -> tuple[str, ...]:
        """Folders of all batches that count, the base first."""
        return tuple(name for name in (self.base, *self.days.values()) if name is not None)

    def merged_accounts(self) -> RowAccounts:
        """Return the accounts of the events of all batches together."""
        total = RowAccounts()
        for name, values in self.accounts.items():
            if name != FEATURES:
                total = total.merged(RowAccounts.from_dict(values))
        return total

    def feature_accounts(self) -> RowAccounts:
        """Return the accounts of the files beside the events, as they were last read."""
        return RowAccounts.from_dict(self.accounts[FEATURES])


def load_manifest(folder: Path) -> EventManifest | None:
    """Return the manifest in force in a folder of events, or None."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    return EventManifest.from_dict(json.loads(path.read_text("utf-8")))


def stage_events(
    folder: Path,
    checked: CheckedEvents,
    source: SourceLog,
    date: str | None,
    settings: dict[str, Any] | None = None,
) -> EventManifest:
    """Place a batch beside the others and return the manifest that would make it count.

    Args:
        folder: Folder of events; batches that no manifest names are swept from it.
        checked: The batch.
        source: The log that it comes from.
        date: The batch's day, ``YYYY-MM-DD``; None when it is the whole log.
        settings: `log_settings` of the log, for the manifest.

    Raises:
        UserError: The batch is empty.
    """
    if checked.accounts.rows_out == 0:
        raise nothing_left(
            f"The log has no usable event{'' if date is None else f' on {date}'}",
            checked.accounts,
            where="ingestion.date" if date is not None else None,
        )
    before = load_manifest(folder)
    _sweep(folder, before)
    name = f"{date or 'base'}-{uuid.uuid4().hex}"
    (folder / name).mkdir()
    for part in (*PARTS, EXCLUDED):
        path = getattr(checked, part)
        if path is not None:
            move_into_place(path, folder / name / f"{part}.parquet")
    whole = date is None or before is None
    days = {} if whole or before is None else dict(before.days)
    starts = {} if whole or before is None else dict(before.day_starts)
    accounted = {} if whole or before is None else dict(before.accounts)
    if date is not None:
        days[date] = name
        starts[date] = day_bounds(date, source)[0]
    accounted[date or "base"] = checked.accounts.to_dict()
    accounted[FEATURES] = source.accounts.to_dict()
    base = name if date is None else before.base if before is not None else None
    return EventManifest(
        base=base,
        days=dict(sorted(days.items())),
        day_starts=dict(sorted(starts.items())),
        accounts=dict(sorted(accounted.items())),
        slates=source.slates,
        split=source.split,
        time_unit=source.time_unit,
        utc_offset_hours=source.utc_offset_hours,
        settings=settings or {},
    )


@dataclass(frozen=True)
class LoggedEvents:
    """All events that count.

    Attributes:
        events: ``user_key``, ``item_key``, ``timestamp``, ``value``, ``label``, ``order`` and,
            where the source has them, ``nanoseconds``, ``slate_id``, ``position``, ``prior``.
        users: ``user_id`` and ``user_key``, which orders them.
        items: ``item_id`` and ``item_key``, which orders them.
    """

    events: ibis.Table
    users: ibis.Table
    items: ibis.Table


def scan_events(engine: Engine, folder: Path, manifest: EventManifest) -> LoggedEvents:
    """Return all events that count, under numbers common to all batches.

    Raises:
        UserError: A file that the manifest names is gone.
    """
    batches = [_read_batch(engine, folder / name) for name in manifest.batches]
    if manifest.base is not None:
        events = batches[0].events
        for start in manifest.day_starts.values():
            events = events.filter(
                ~events.timestamp.between(start, start + manifest.day_length - 1)
            )
        batches[0] = replace(batches[0], events=events)
    if any(NANOSECONDS in batch.events.columns for batch in batches):
        batches = [replace(b, events=_with_nanoseconds(b.events)) for b in batches]
    if len(batches) == 1:
        return batches[0]
    users = engine.persist(_common_ids([b.users for b in batches], "user"), "users")
    items = engine.persist(_common_ids([b.items for b in batches], "item"), "items")
    renumbered = [
        _renumbered(_renumbered(b.events, b.users, users, "user"), b.items, items, "item")
        for b in batches
    ]
    names = renumbered[0].columns
    events = ibis.union(*(part.select(*names) for part in renumbered))
    return LoggedEvents(events=events, users=users, items=items)


def _read_batch(engine: Engine, folder: Path) -> LoggedEvents:
    for part in PARTS:
        if not (folder / f"{part}.parquet").is_file():
            raise UserError(
                f"{folder / part}.parquet is missing", remedy="Ingest the whole log again."
            )
    users = engine.read(folder / "users.parquet").select("user_id", "user_key").distinct()
    items = engine.read(folder / "items.parquet").select("item_id", "item_key").distinct()
    events = engine.read(folder / "events.parquet")
    events = events.filter(events.defect == GOOD).drop("defect", "reason", "reason_column")
    excluded = folder / f"{EXCLUDED}.parquet"
    if excluded.is_file():
        events = events.anti_join(engine.read(excluded), "order").select(*events.columns)
    return LoggedEvents(events=events, users=users, items=items)


def _with_nanoseconds(events: ibis.Table) -> ibis.Table:
    """Return events with what their times leave out: nothing in a batch of whole times."""
    if NANOSECONDS in events.columns:
        return events
    return events.mutate(ibis.literal(0, "int32").name(NANOSECONDS))


def _common_ids(tables: list[ibis.Table], name: str) -> ibis.Table:
    """Return the ids of all batches, numbered as `number_ids` numbers those of one."""
    column = f"{name}_id"
    ids = ibis.union(*(table.select(column) for table in tables), distinct=True)
    order = ibis.row_number().over(order_by=[ids[column].length(), ids[column]])
    return ids.mutate(order.cast("int32").name(f"{name}_key"))


def _renumbered(events: ibis.Table, own: ibis.Table, common: ibis.Table, name: str) -> ibis.Table:
    """Return a batch's events with the common number of each user or item."""
    key = f"{name}_key"
    places = own.rename(own_key=key).join(common, f"{name}_id").select("own_key", new_key=key)
    joined = events.join(places, events[key] == places.own_key).drop("own_key", key)
    return joined.rename({key: "new_key"})


def _sweep(folder: Path, manifest: EventManifest | None) -> None:
    """Remove what killed or replaced batches left behind."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = () if manifest is None else manifest.batches
    for path in folder.iterdir():
        if path.is_dir() and path.name not in kept:
            shutil.rmtree(path)
