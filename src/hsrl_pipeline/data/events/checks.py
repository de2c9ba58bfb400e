"""From a draft of events to typed, unique, good events, with every bad row accounted for."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hsrl_pipeline.data.accounts import BadRows, RowAccounts
from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.data.events.groups import Kinds, mark_broken_slates, mark_duplicates
from hsrl_pipeline.data.events.judging import (
    READERS_OWN,
    judge_rows,
    number_ids,
    row_order,
)
from hsrl_pipeline.data.ids import GOOD
from hsrl_pipeline.data.sources.source_log import LINES_PER_FILE, SourceLog

SHOWN = (
    "file",
    "raw",
    "user_id",
    "item_id",
    "timestamp",
    "value",
    "label",
    "position",
    "slate_id",
    "propensity",
)


@dataclass(frozen=True)
class CheckedEvents:
    """Good events of a log and the accounts of all its rows.

    Attributes:
        events: Parquet file of ``user_key``, ``item_key`` (int32), ``timestamp`` (int64),
            ``value`` (float32, nullable), ``label`` (int8), ``order`` (int64, ties in time), and
            where the source has them ``nanoseconds`` (int32, beyond ``timestamp``), ``slate_id``
            (string), ``position`` (int8), ``propensity`` (float32), ``prior`` (bool).
            Rows with a ``defect`` other than 0 do not count.
        excluded: Parquet file of the ``order`` of further rows that do not count; None when there
            are none.
        users: Parquet file of ``user_id`` (string) and ``user_key``, which orders them.
        items: Parquet file of ``item_id`` (string) and ``item_key``, which orders them.
        accounts: Rows in, rows out and bad rows.
    """

    events: Path
    users: Path
    items: Path
    excluded: Path | None
    accounts: RowAccounts


def check_events(engine: Engine, source: SourceLog, date: str | None = None) -> CheckedEvents:
    """Judge the draft of a source.

    Args:
        engine: Where to run.
        source: The log as its reader describes it.
        date: Day to keep, ``YYYY-MM-DD``; rows without a readable time are judged on every day.
            None keeps all days.
    """
    draft = source.draft_events(engine)
    paths = {name: engine.fresh_path(name) for name in ("judged", "users", "items")}
    numeric = source.rules.numeric_ids
    strict = source.unlisted_items == "bad" and source.items is not None
    listed = source.items["item_id"].tolist() if strict and source.items is not None else None
    numbered = {
        "users": number_ids(engine, draft, "user_id", numeric=numeric),
        "items": number_ids(engine, draft, "item_id", numeric=numeric, listed=listed),
    }
    for name, ids in numbered.items():
        engine.write(ids, paths[name])
    users, items = engine.read(paths["users"]), engine.read(paths["items"])
    judged, defects = judge_rows(draft, users, items, source)
    if date is not None:
        start, end = day_bounds(date, source)
        in_day = judged.timestamp.between(start, end - 1)
        judged = judged.filter(in_day | judged.timestamp.isnull())
    engine.write(judged, paths["judged"])
    judged = engine.read(paths["judged"])
    judged = judged.mutate(judged_defect=judged.defect)
    kinds: Kinds = [(defect.reason, defect.column) for defect in defects]
    marked = mark_duplicates(engine, judged, source.rules.duplicates_on, kinds)
    if source.slates.given:
        marked = mark_broken_slates(engine, marked, source.slates.size, kinds)
    notes = {
        **_count_rewritten(paths["users"], "user"),
        **_count_rewritten(paths["items"], "item"),
    }
    accounts = replace(_account(marked, draft, kinds, source.column_names), notes=notes)
    excluded = None
    if marked is not judged:
        excluded = engine.fresh_path("excluded")
        newly = (marked.defect != GOOD) & (marked.judged_defect == GOOD)
        engine.write(marked.filter(newly).select("order"), excluded)
    return CheckedEvents(paths["judged"], paths["users"], paths["items"], excluded, accounts)


def day_bounds(date: str, source: SourceLog) -> tuple[int, int]:
    """Return the first timestamp of a day and of the next, in the unit of the log."""
    midnight = datetime.datetime.fromisoformat(date).replace(tzinfo=datetime.timezone.utc)
    scale = 1000 if source.time_unit == "ms" else 1
    start = (int(midnight.timestamp()) - source.utc_offset_hours * 3600) * scale
    return start, start + 86_400 * scale


def _count_rewritten(path: Path, name: str) -> dict[str, int]:
    """Return how many texts of ids are not the ids themselves, under a note; empty if none."""
    raw, text = pq.read_table(path, columns=[f"raw_{name}_id", f"{name}_id"]).columns
    if not pa.types.is_string(raw.type):
        return {}
    count = pc.sum(pc.not_equal(raw, text)).as_py()
    return {f"{name} ids with spaces around them or .0 behind": count} if count else {}


def _account(
    judged: ibis.Table, draft: ibis.Table, kinds: Kinds, column_names: Mapping[str, str]
) -> RowAccounts:
    """Count rows by defect and show the first row of each."""
    counted = (
        judged.group_by(["defect", "reason", "reason_column"])
        .agg(rows=lambda t: t.count(), first=lambda t: t.order.min())
        .execute()
    )
    rows_in = int(counted["rows"].sum())
    defects = counted[counted["defect"] != GOOD].sort_values(["first", "defect"])
    if defects.empty:
        return RowAccounts(rows_in=rows_in, rows_out=rows_in)
    texts = _texts_at([int(order) for order in defects["first"]], draft)
    bad = []
    for row in defects.itertuples():
        if row.defect == READERS_OWN:
            reason, column = str(row.reason), _text(row.reason_column)
        else:
            reason, column = kinds[int(row.defect) - 1]
        fields = texts[int(row.first)]
        bad.append(
            BadRows(
                reason=reason,
                count=int(row.rows),
                file=str(fields["file"]),
                line=int(row.first) % LINES_PER_FILE,
                column=column_names.get(column or "", column),
                example=_text(fields.get("raw")) or _text(fields.get(column or "")),
            )
        )
    dropped = sum(defect.count for defect in bad)
    return RowAccounts(rows_in=rows_in, rows_out=rows_in - dropped, bad=tuple(bad))


def _texts_at(orders: list[int], draft: ibis.Table) -> dict[int, dict[str, object]]:
    """Return the fields of the rows that stand at the given places, as text."""
    place = row_order(draft)
    shown = [name for name in SHOWN if name in draft.columns]
    rows = (
        draft.filter(place.isin(orders))
        .select(place=place, **{name: draft[name].cast("string") for name in shown})
        .execute()
    )
    return {int(row["place"]): row for row in rows.to_dict("records")}


def _text(value: object) -> str | None:
    return value[:80] if isinstance(value, str) else None
