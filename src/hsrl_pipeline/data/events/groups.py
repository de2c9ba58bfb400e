"""Defects that show only beside other rows: duplicates, and slates that are not whole."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.data.events.judging import key_of
from hsrl_pipeline.data.ids import GOOD

SALT = 1_000_000_007_000_003

Kinds = list[tuple[str, str | None]]
"""Reason and column of each defect; the first has the number 1 in the column ``defect``."""


def mark_duplicates(
    engine: Engine, judged: ibis.Table, keys: Sequence[str], kinds: Kinds
) -> ibis.Table:
    """Mark each row that repeats an earlier good one.

    Rows are compared in full only where a hash says that they may be alike: a clean log is let
    through by one aggregation.

    Args:
        engine: Where to run.
        judged: Typed events with ``order`` and ``defect``.
        keys: Draft columns that together identify an event; those that the log lacks are ignored.
        kinds: Defects known so far; the new one is appended.
    """
    kinds.append(("duplicate row", None))
    keys = [column for column in map(key_of, keys) if column in judged.columns]
    if not keys:
        return judged
    good = judged.filter(judged.defect == GOOD)
    if "prior" in judged.columns:
        good = good.filter(~good.prior)
    mixed = _salted_hash(good[keys[0]], 0)
    for salt, column in enumerate(keys[1:], start=1):
        mixed = mixed ^ _salted_hash(good[column], salt)
    hashed = good.select(*keys, "order", row_hash=mixed)
    counts = hashed.group_by("row_hash").agg(rows=lambda t: t.count())
    alike = engine.persist(counts.filter(counts.rows > 1).select("row_hash"), "alike")
    if alike.count().execute() == 0:
        return judged
    window = ibis.window(group_by=keys, order_by="order")
    repeats = engine.persist(
        hashed.semi_join(alike, "row_hash")
        .mutate(place=ibis.row_number().over(window))
        .filter(lambda t: t.place > 0)
        .select(repeat_order="order", verdict=ibis.literal(len(kinds), "int16")),
        "repeats",
    )
    marked = judged.left_join(repeats, judged.order == repeats.repeat_order)
    marked = marked.mutate(
        defect=ibis.ifelse(marked.defect == GOOD, marked.verdict.fill_null(GOOD), marked.defect)
    )
    return marked.drop("repeat_order", "verdict")


def _salted_hash(column: ir.Column, salt: int) -> ir.IntegerColumn:
    """Return hashes in which equal numbers of different columns do not cancel each other."""
    if column.type().is_integer():
        return (column.cast("int64") + salt * SALT).hash()
    return column.hash()


def mark_broken_slates(engine: Engine, judged: ibis.Table, size: int, kinds: Kinds) -> ibis.Table:
    """Mark all rows of given slates that do not have exactly the positions 0 to ``size`` - 1.

    Args:
        engine: Where to run.
        judged: Typed events with ``slate_id``, ``position`` and ``defect``.
        size: Items per slate (K).
        kinds: Defects known so far; the new ones are appended.
    """
    first = len(kinds) + 1
    kinds.extend(
        [
            (f"slate does not have {size} events", "slate_id"),
            ("slate holds a bad row", "slate_id"),
            (f"slate does not have the positions 0 to {size - 1}", "position"),
            ("slate repeats an item", "item_id"),
        ]
    )
    logged = judged.filter(judged.slate_id.notnull())
    if "prior" in judged.columns:
        logged = logged.filter(~logged.prior)
    counts = logged.group_by(["user_key", "slate_id"]).agg(
        rows=lambda t: t.count(),
        bad=lambda t: (t.defect != GOOD).sum(),
        positions=lambda t: t.position.nunique(),
        last=lambda t: t.position.max(),
        items=lambda t: t.item_key.nunique(),
    )
    verdict = ibis.cases(
        (counts.rows != size, first),
        (counts.bad > 0, first + 1),
        ((counts.positions != size) | (counts.last != size - 1), first + 2),
        (counts.items != size, first + 3),
        else_=GOOD,
    ).cast("int16")
    verdicts = counts.select(bad_user="user_key", bad_slate="slate_id", verdict=verdict)
    verdicts = engine.persist(verdicts.filter(verdicts.verdict != GOOD), "verdicts")
    if verdicts.count().execute() == 0:
        return judged
    marked = judged.left_join(
        verdicts,
        [judged.user_key == verdicts.bad_user, judged.slate_id == verdicts.bad_slate],
    )
    judgeable = marked.defect == GOOD
    if "prior" in judged.columns:
        judgeable = judgeable & ~marked.prior
    marked = marked.mutate(
        defect=ibis.ifelse(judgeable, marked.verdict.fill_null(GOOD), marked.defect)
    )
    return marked.drop("bad_user", "bad_slate", "verdict")
