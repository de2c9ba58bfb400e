"""From a draft of events to typed, unique, good events, with every bad row accounted for.

All of it is Ibis expressions, so that both engines judge each row alike. Text is matched against a
pattern and not only cast: casting rules for odd numbers differ between engines, patterns don't.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import ibis
import ibis.expr.types as ir

from hsrl_pipeline.data.accounts import BadRows, RowAccounts
from hsrl_pipeline.data.engine import Engine
from hsrl_pipeline.data.event_groups import (
    GOOD,
    Kinds,
    mark_broken_slates,
    mark_duplicates,
    mark_unlisted_items,
)
from hsrl_pipeline.data.sources import DRAFT_COLUMNS, EventRules, SourceLog
from hsrl_pipeline.errors import UserError

WHOLE_NUMBER = r"^[-+]?[0-9]{1,18}$"
NUMBER = r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,2})?$"
NUMERIC_ID = r"^[0-9]{1,18}$"
NEGATIVE_ID = r"^-[0-9]+$"
LONGEST_ID = 256
LINES_PER_FILE = 1 << 40
READERS_OWN = -1
SHOWN = ("file", "raw", "user_id", "item_id", "timestamp", "value", "label", "position", "slate_id")


@dataclass(frozen=True)
class CheckedEvents:
    """Good events of a log and the accounts of all its rows.

    Attributes:
        path: Parquet file of the good events: ``user_id``, ``item_id`` (string), ``timestamp``
            (int64), ``value`` (float32, nullable), ``label`` (int8), ``order`` (int64, ties in
            time), and where the source has them ``slate_id`` (string), ``position`` (int8) and
            ``prior`` (boolean).
        accounts: Rows in, rows out and bad rows.
    """

    path: Path
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
    judged, defects = judge_rows(draft, source)
    if date is not None:
        start, end = day_bounds(date, source)
        in_day = judged.timestamp.between(start, end - 1)
        judged = judged.filter(in_day | judged.timestamp.isnull())
    path = engine.fresh_path("judged")
    engine.write(judged, path)
    judged = engine.read(path)
    kinds: Kinds = [(defect.reason, defect.column) for defect in defects]
    if source.unlisted_items == "bad" and source.items is not None:
        judged = mark_unlisted_items(engine, judged, source.items["item_id"].tolist(), kinds)
    judged = mark_duplicates(engine, judged, source.rules.duplicates_on, kinds)
    if source.slates.given:
        judged = mark_broken_slates(engine, judged, source.slates.size, kinds)
    accounts = _account(judged, draft, kinds, source.column_names)
    if accounts.bad:  # a clean log's file is already what is wanted
        path = engine.fresh_path("events")
        engine.write(judged.filter(judged.defect == GOOD), path)
    return CheckedEvents(path=path, accounts=accounts)


def day_bounds(date: str, source: SourceLog) -> tuple[int, int]:
    """Return the first timestamp of a day and of the next, in the unit of the log."""
    midnight = datetime.datetime.fromisoformat(date).replace(tzinfo=datetime.timezone.utc)
    scale = 1000 if source.time_unit == "ms" else 1
    start = (int(midnight.timestamp()) - source.utc_offset_hours * 3600) * scale
    return start, start + 86_400 * scale


@dataclass(frozen=True)
class Defect:
    """One way in which a row can be bad, and the rows that are.

    Attributes:
        reason: The defect in a few words.
        column: Draft column at fault.
        found: True in bad rows; null counts as false.
    """

    reason: str
    column: str
    found: ir.BooleanValue


def judge_rows(draft: ibis.Table, source: SourceLog) -> tuple[ibis.Table, list[Defect]]:
    """Return typed events, and the defects that their column ``defect`` numbers.

    Returns:
        The events and the list of defects. ``defect`` is 0 in a good row, the number (from 1) of
        its first defect in a bad one, and -1 where the reader found the row bad (``reason``).

    Raises:
        UserError: The draft lacks a column: the reader is at fault.
    """
    absent = [name for name in DRAFT_COLUMNS if name not in draft.columns]
    if absent:
        raise UserError(f"The source's draft lacks {', '.join(absent)}", where="its reader")
    typed, defects = _judge_fields(draft, source)
    if "prior" in draft.columns:
        prior = draft.prior.fill_null(False)
        typed["prior"] = prior
        defects = [
            replace(defect, found=defect.found & ~prior)
            if defect.column in ("position", "slate_id", "timestamp", "label")
            else defect
            for defect in defects
        ]
    branches = [(d.found.fill_null(False), code) for code, d in enumerate(defects, start=1)]
    if "reason" in draft.columns:
        branches.insert(0, (draft.reason.notnull(), READERS_OWN))
    judged = draft.select(
        order=_row_order(draft),
        **typed,
        defect=ibis.cases(*branches, else_=GOOD).cast("int16"),
        **{
            name: draft[name] if name in draft.columns else ibis.null("string")
            for name in ("reason", "reason_column")
        },
    )
    return judged, defects


def _judge_fields(draft: ibis.Table, source: SourceLog) -> tuple[dict[str, ir.Value], list[Defect]]:
    """Return each field typed, and what can be wrong with it."""
    rules = source.rules
    typed: dict[str, ir.Value] = {}
    defects: list[Defect] = []
    for name in ("user_id", "item_id"):
        typed[name], found = _judge_id(draft[name], name, rules.numeric_ids)
        defects += found
    low, high = rules.time_range
    if source.time_unit == "ms":
        low, high = low * 1000, high * 1000
    typed["timestamp"], found = _judge_whole_number(draft.timestamp, "timestamp", low, high)
    defects += found
    value, typed["label"], found = _judge_response(draft, rules)
    typed["value"] = value.cast("float32")
    defects += found
    if "position" in draft.columns:
        position, found = _judge_whole_number(draft.position, "position", 0, 127)
        in_range = ibis.ifelse(position.between(0, 127), position, ibis.null("int64"))
        typed["position"] = in_range.cast("int8")
        defects += found
    if "slate_id" in draft.columns:
        typed["slate_id"] = draft.slate_id.cast("string")
        defects.append(Defect("slate_id is missing", "slate_id", draft.slate_id.isnull()))
    return typed, defects


def _judge_id(value: ir.Value, name: str, numeric: bool) -> tuple[ir.StringValue, list[Defect]]:
    text = value.cast("string")
    if value.type().is_integer():
        return text, [
            Defect(f"{name} is missing", name, value.isnull()),
            Defect(f"{name} is negative", name, value < 0),
        ]
    missing = Defect(f"{name} is missing", name, text.isnull() | (text == ""))
    if numeric:
        odd = ~text.re_search(NUMERIC_ID)
        return text, [missing, Defect(f"{name} is not a whole number >= 0", name, odd)]
    return text, [
        missing,
        Defect(f"{name} is negative", name, text.re_search(NEGATIVE_ID)),
        Defect(f"{name} is longer than {LONGEST_ID} characters", name, text.length() > LONGEST_ID),
    ]


def _judge_whole_number(
    value: ir.Value, name: str, low: int, high: int
) -> tuple[ir.IntegerValue, list[Defect]]:
    if value.type().is_temporal():
        raise UserError(
            f"The column of {name} holds dates, not whole numbers",
            remedy="Convert it to seconds or milliseconds since 1970-01-01 UTC.",
        )
    unreadable: ir.BooleanValue = ibis.literal(False)
    if value.type().is_integer():
        number = value.cast("int64")
    else:
        text = value.cast("string")
        number = text.try_cast("int64")
        unreadable = ~text.re_search(WHOLE_NUMBER)
    return number, [
        Defect(f"{name} is missing", name, value.isnull()),
        Defect(f"{name} is not a whole number", name, unreadable),
        Defect(f"{name} is outside {low} to {high}", name, ~number.between(low, high)),
    ]


def _parse_number(value: ir.Value) -> tuple[ir.FloatingValue, ir.BooleanValue]:
    """Return a number, and whether the field holds none though it is not empty."""
    if value.type().is_floating():
        number = value.cast("float64")
        return ibis.ifelse(number.isnan(), ibis.null("float64"), number), number.isinf()
    if value.type().is_numeric() or value.type().is_boolean():
        return value.cast("float64"), ibis.literal(False)
    text = value.cast("string")
    number = text.try_cast("float64")
    return number, (~text.re_search(NUMBER) | number.isnull()) & (text != "")


def _judge_response(
    draft: ibis.Table, rules: EventRules
) -> tuple[ir.FloatingValue, ir.IntegerValue, list[Defect]]:
    """Return value, label and the defects of both."""
    name = rules.value_name
    defects: list[Defect] = []
    value = ibis.null("float64")
    if "value" in draft.columns:
        value, unreadable = _parse_number(draft.value)
        defects.append(Defect(f"{name} is not a number", "value", unreadable))
        if rules.positive_above is not None:
            defects.append(Defect(f"{name} is missing", "value", value.isnull()))
        if rules.value_range is not None:
            low, high = rules.value_range
            outside = ~value.between(low, high)
            defects.append(Defect(f"{name} is outside {low:g} to {high:g}", "value", outside))
    if rules.positive_above is not None:
        return value, (value > rules.positive_above).cast("int8"), defects
    number, unreadable = _parse_number(draft.label)
    good = ((number == 0) | (number == 1)).fill_null(False)
    defects.append(Defect("label is not 0 or 1", "label", ~good | unreadable))
    return value, ibis.ifelse(good, number, ibis.null("float64")).cast("int8"), defects


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
    row_order = _row_order(draft)
    shown = [name for name in SHOWN if name in draft.columns]
    rows = (
        draft.filter(row_order.isin(orders))
        .select(row_order=row_order, **{name: draft[name].cast("string") for name in shown})
        .execute()
    )
    return {int(row["row_order"]): row for row in rows.to_dict("records")}


def _row_order(draft: ibis.Table) -> ir.IntegerValue:
    """Return the place of each row: its file, then its line."""
    files = draft.file_order if "file_order" in draft.columns else ibis.literal(0, "int64")
    return files * LINES_PER_FILE + draft.line


def _text(value: object) -> str | None:
    return value[:80] if isinstance(value, str) else None
