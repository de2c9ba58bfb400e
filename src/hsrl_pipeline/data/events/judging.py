"""Judging the fields of drafted events, one row at a time.

All of it is Ibis expressions, so that both engines judge each row alike. Text is matched against a
pattern and not only cast: casting rules for odd numbers differ between engines, patterns don't.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import ibis
import ibis.expr.types as ir

from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.data.engines.parquet_columns import FRACTION_MARK, ROUNDED_MARK
from hsrl_pipeline.data.ids import (
    FRACTION_ID,
    GOOD,
    NO_ID,
    ROUNDED_ID,
    describe_defects,
    read_ids,
)
from hsrl_pipeline.data.sources.source_log import (
    DRAFT_COLUMNS,
    LINES_PER_FILE,
    EventRules,
    SourceLog,
)
from hsrl_pipeline.errors import UserError

READERS_OWN = -1
UNLISTED_ID = -2
WHOLE_NUMBER = r"^[-+]?[0-9]{1,18}$"
WHOLE_DECIMAL = r"^([-+]?[0-9]{1,18})\.0*$"
LARGEST_WHOLE = 10**15
NAN = ("nan", "NaN", "NAN")
NUMBER = r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,2})?$"


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


def number_ids(
    engine: Engine,
    draft: ibis.Table,
    name: str,
    *,
    numeric: bool,
    listed: Sequence[str] | None = None,
) -> ibis.Table:
    """Return the distinct ids of a draft, numbered from 0: shorter ids first, then by code point.

    For whole numbers that is their numeric order, on every engine. Reading and judging an id once
    instead of in each row is what makes long logs fast.

    Args:
        engine: Where to run.
        draft: Drafted events.
        name: ``"user_id"`` or ``"item_id"``.
        numeric: Whether ids must be whole numbers.
        listed: Ids that are allowed; None allows all.

    Returns:
        ``<name>`` (string), ``raw_<name>`` as in the draft, ``<name>_defect`` (0, UNLISTED_ID or a
        number of `describe_defects`) and ``user_key`` or ``item_key`` (int32). Forms of the same
        id, such as 7 and 7.0 in a text column, have one row each and the same key.

    Raises:
        UserError: The column is of a type that no id has.
    """
    # kept, so that no engine reads the ids of every row to find the distinct ones
    raw = engine.persist(draft.select(**{f"raw_{name}": draft[name]}).distinct(), f"raw_{name}")
    reading = read_ids(raw[f"raw_{name}"], name, numeric=numeric)
    ids = raw.mutate(**{name: reading.text, f"{name}_defect": reading.defect})
    if listed is not None:
        known = ibis.memtable({"listed_id": list(listed)}, schema={"listed_id": "string"})
        ids = ids.left_join(known, ids[name] == known.listed_id)
        unlisted = (ids[f"{name}_defect"] == GOOD) & ids.listed_id.isnull()
        verdict = ibis.ifelse(unlisted, UNLISTED_ID, ids[f"{name}_defect"]).cast("int16")
        ids = ids.drop("listed_id").mutate(**{f"{name}_defect": verdict})
    order = ibis.dense_rank().over(order_by=[ids[name].length(), ids[name]])
    numbered = ids.mutate(order.cast("int32").name(key_of(name)))
    return numbered.filter(numbered[name].notnull())  # null comes last and moves no number


NUMBERED = {"user_id": "user_key", "item_id": "item_key"}
"""Columns of the numbers that stand for ids; ids of slates stay texts."""


def key_of(name: str) -> str:
    """Return the column of an event's fact; ids of users and items are numbered there."""
    return NUMBERED.get(name, name)


def judge_rows(
    draft: ibis.Table, users: ibis.Table, items: ibis.Table, source: SourceLog
) -> tuple[ibis.Table, list[Defect]]:
    """Return typed events, and the defects that their column ``defect`` numbers.

    Args:
        draft: Drafted events.
        users: Numbered user ids of the draft.
        items: Numbered item ids of the draft.
        source: The log as its reader describes it.

    Returns:
        The events and the list of defects. ``defect`` is 0 in a good row, the number (from 1) of
        its first defect in a bad one, and -1 where the reader found the row bad (``reason``).

    Raises:
        UserError: The draft lacks a column: the reader is at fault.
    """
    absent = [name for name in DRAFT_COLUMNS if name not in draft.columns]
    if absent:
        raise UserError(f"The source's draft lacks {', '.join(absent)}", where="its reader")
    keyed = draft.left_join(users.drop("user_id"), draft.user_id == users.raw_user_id).left_join(
        items.drop("item_id"), draft.item_id == items.raw_item_id
    )
    keyed = keyed.drop("raw_user_id", "raw_item_id")
    typed, defects = _judge_fields(keyed, source)
    if "prior" in draft.columns:
        prior = keyed.prior.fill_null(False)
        typed["prior"] = prior
        defects = [
            replace(defect, found=defect.found & ~prior)
            if defect.column in ("position", "slate_id", "timestamp", "label")
            else defect
            for defect in defects
        ]
    branches = [(d.found.fill_null(False), code) for code, d in enumerate(defects, start=1)]
    n_of_ids = sum(defect.column in ("user_id", "item_id") for defect in defects)
    # most rows have good ids and pass all that can be wrong with them in one step
    good_ids = ((keyed.user_id_defect == GOOD) & (keyed.item_id_defect == GOOD)).fill_null(False)
    of_ids = ibis.cases(*branches[:n_of_ids], else_=GOOD)
    branches = [(~good_ids, of_ids), *branches[n_of_ids:]]
    if "reason" in draft.columns:
        branches.insert(0, (keyed.reason.notnull(), READERS_OWN))
    judged = keyed.select(
        order=row_order(keyed),
        **typed,
        defect=ibis.cases(*branches, else_=GOOD).cast("int16"),
        **{
            name: keyed[name] if name in draft.columns else ibis.null("string")
            for name in ("reason", "reason_column")
        },
    )
    return judged, defects


def row_order(draft: ibis.Table) -> ir.IntegerValue:
    """Return the place of each row: its file, then its line."""
    files = draft.file_order if "file_order" in draft.columns else ibis.literal(0, "int64")
    return files * LINES_PER_FILE + draft.line


def _judge_fields(draft: ibis.Table, source: SourceLog) -> tuple[dict[str, ir.Value], list[Defect]]:
    """Return each field typed, and what can be wrong with it."""
    rules = source.rules
    typed: dict[str, ir.Value] = {}
    defects: list[Defect] = []
    for name in ("user_id", "item_id"):
        typed[key_of(name)] = draft[key_of(name)]
        verdict = draft[f"{name}_defect"]
        defects.append(Defect(f"{name} is missing", name, draft[key_of(name)].isnull()))
        for code, reason in describe_defects(name, numeric=rules.numeric_ids).items():
            defects.append(Defect(reason, name, verdict == code))
    unlisted = draft.item_id_defect == UNLISTED_ID
    defects.append(Defect("item is not in the item file", "item_id", unlisted))
    low, high = rules.time_range
    if source.time_unit == "ms":
        low, high = low * 1000, high * 1000
    typed["timestamp"], found = _judge_whole_number(draft.timestamp, "timestamp", low, high)
    defects += found
    if "nanoseconds" in draft.columns:
        typed["nanoseconds"] = draft.nanoseconds
    value, typed["label"], found = _judge_response(draft, rules)
    typed["value"] = value.cast("float32")
    defects += found
    if "position" in draft.columns:
        position, found = _judge_whole_number(draft.position, "position", 0, 127)
        in_range = ibis.ifelse(position.between(0, 127), position, ibis.null("int64"))
        typed["position"] = in_range.cast("int8")
        defects += found
    if "propensity" in draft.columns:
        chance, unreadable = _parse_number(draft.propensity)
        typed["propensity"] = chance.cast("float32")
        defects.append(Defect("propensity is not a number", "propensity", unreadable))
        outside = (chance <= 0) | (chance > 1)
        defects.append(Defect("propensity is not above 0 and at most 1", "propensity", outside))
    if "slate_id" in draft.columns:
        typed["slate_id"], found = _judge_slate_id(draft.slate_id)
        defects += found
    return typed, defects


def _judge_slate_id(slate: ir.Value) -> tuple[ir.StringValue, list[Defect]]:
    """Return the slate's id as text; unlike other ids it is read in each row, so texts stay."""
    if slate.type().is_string():
        text = ibis.ifelse(slate.isin(NO_ID), ibis.null("string"), slate)
        found = {
            ROUNDED_ID: slate.endswith(ROUNDED_MARK),
            FRACTION_ID: slate.endswith(FRACTION_MARK),
        }
    else:
        reading = read_ids(slate, "slate_id")
        text = reading.text
        found = {code: reading.defect == code for code in (ROUNDED_ID, FRACTION_ID)}
    reasons = describe_defects("slate_id", numeric=False)
    return text, [
        Defect("slate_id is missing", "slate_id", text.isnull()),
        *(Defect(reasons[code], "slate_id", verdict) for code, verdict in found.items()),
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
    missing = value.isnull()
    if value.type().is_uint64():
        number = value.try_cast("int64")
        unreadable = number.isnull()
    elif value.type().is_integer():
        number = value.cast("int64")
    elif value.type().is_floating():
        near = ibis.ifelse(value.abs() <= LARGEST_WHOLE, value, ibis.null("float64"))
        whole = (near == near.floor()).fill_null(False)
        number = ibis.ifelse(whole, near, ibis.null("float64")).cast("int64")
        unreadable = ~whole
    else:
        text = value.cast("string")
        whole = text.re_search(WHOLE_NUMBER)
        digits = ibis.ifelse(whole, text, text.re_extract(WHOLE_DECIMAL, 1))
        number = digits.try_cast("int64")
        unreadable = number.isnull()
        missing = unreadable & (text.isnull() | text.isin(NAN))
    return number, [
        Defect(f"{name} is missing", name, missing),
        Defect(f"{name} is not a whole number", name, unreadable),
        Defect(f"{name} is outside {low} to {high}", name, ~number.between(low, high)),
    ]


def _parse_number(value: ir.Value) -> tuple[ir.FloatingValue, ir.BooleanValue]:
    """Return the number, and whether a field that is not empty fails to hold one."""
    if value.type().is_floating():
        number = value.cast("float64")
        return ibis.ifelse(number.isnan(), ibis.null("float64"), number), number.isinf()
    if value.type().is_numeric() or value.type().is_boolean():
        return value.cast("float64"), ibis.literal(False)
    text = value.cast("string")
    text = ibis.ifelse(text.isin(NAN), "", text)
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
