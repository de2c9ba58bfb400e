"""Rows of a raw log that repeat an earlier row in every field."""

from __future__ import annotations

from collections.abc import Sequence

import ibis

REPEATED = "duplicate row"


def mark_repeats(rows: ibis.Table, fields: Sequence[str]) -> ibis.Table:
    """Give each row that repeats an earlier one a ``reason``; the first stays as it is.

    Args:
        rows: Rows with ``file_order``, ``line``, ``reason`` (null when good) and the fields.
        fields: Columns that must all agree.

    Returns:
        The same columns; ``reason`` is set for repeats that had none.
    """
    window = ibis.window(group_by=list(fields), order_by=["file_order", "line"])
    counted = rows.mutate(earlier=ibis.row_number().over(window))
    repeated = counted.reason.isnull() & (counted.earlier > 0)
    return counted.mutate(reason=ibis.ifelse(repeated, REPEATED, counted.reason)).drop("earlier")
