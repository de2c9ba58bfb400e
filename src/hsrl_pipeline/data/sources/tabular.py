"""The user's own logs: csv or parquet with a mapping of columns in the parameters.

docs/bring_your_own_data.md is the user's side of this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from hsrl_pipeline.config.ingestion_tabular import TabularConfig
from hsrl_pipeline.data.accounts import RowAccounts
from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.data.engines.text_landing import TextForm
from hsrl_pipeline.data.sources.feature_files import (
    FeatureFile,
    mark_names,
    read_feature_parquet,
    read_feature_text,
)
from hsrl_pipeline.data.sources.source_log import (
    EventRules,
    ReadRequest,
    SlateRule,
    SourceLog,
    SplitRule,
)
from hsrl_pipeline.data.sources.text_parts import find_text_parts
from hsrl_pipeline.errors import UserError

FOLDER = "tabular"
DATE_AND_TIME = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.[0-9]+)?)?"
    r"\s*(?:Z|UTC|([+-])([01][0-9]|2[0-3]):?([0-5][0-9]))?)?$"
)
WHOLE_PART = r"^([-+]?[0-9]+)\.[0-9]*$"


def read_tabular(request: ReadRequest) -> SourceLog:
    """Return the user's log as the mapping of columns describes it.

    Raises:
        UserError: A file is missing or unreadable, or lacks a mapped column.
    """
    settings = request.config.tabular
    folder = request.raw_folder / FOLDER
    gap = settings.session_gap_minutes
    scale = 60_000 if settings.time_format == "ms" else 60
    items, item_accounts = read_item_features(folder, settings, request.workspace)
    users, user_accounts = read_user_features(folder, settings, request.workspace)
    columns = settings.columns
    rated = columns.label is None
    locate(folder, settings.events, "ingestion.tabular.events")
    parts = find_text_parts(folder, settings.events)
    notes = {} if parts is None else parts.notes(settings.events)
    return SourceLog(
        draft_events=lambda engine: draft_log(engine, folder, settings),
        items=items,
        users=users,
        slates=SlateRule(
            size=request.config.slate_size,
            given=columns.slate is not None,
            session_gap=None if gap is None else round(gap * scale),
        ),
        split=SplitRule("time_share", train_share=request.config.train_share),
        rules=EventRules(
            positive_above=request.config.positive_above if rated else None,
            value_range=settings.value_range,
            value_name=columns.value or "value",
            duplicates_on=("user_id", "item_id", "timestamp", "value", "label", "slate_id"),
        ),
        time_unit="ms" if settings.time_format == "ms" else "s",
        column_names=event_columns(settings),
        accounts=item_accounts.merged(user_accounts).merged(RowAccounts(notes=notes)),
    )


def draft_log(engine: Engine, folder: Path, settings: TabularConfig) -> ibis.Table:
    """Return the events of the mapped file.

    Args:
        engine: Where to run.
        folder: Folder that relative paths start from.
        settings: The ``ingestion.tabular`` parameters.
    """
    columns = event_columns(settings)
    parts = find_text_parts(folder, settings.events)
    if parts is not None:
        rows = engine.scan_csv(parts.paths, columns, form=text_form(settings), labels=parts.labels)
    else:
        nothing = ibis.null("string")
        rows = engine.scan_parquet(folder / settings.events, columns).mutate(
            reason=nothing, raw=nothing
        )
    time, unreadable = to_epoch(rows.timestamp, settings.time_format)
    bad = rows.reason.isnull() & unreadable
    rows = rows.mutate(
        timestamp=time,
        reason=ibis.ifelse(
            bad, "timestamp is not a date and time like 2024-05-31 18:30:00", rows.reason
        ),
        reason_column=ibis.ifelse(bad, "timestamp", ibis.null("string")),
        raw=ibis.ifelse(bad, rows.timestamp.cast("string"), rows.raw),
    )
    if settings.columns.slate is not None and settings.columns.position is None:
        shown = ibis.window(group_by=["user_id", "slate_id"], order_by=["file_order", "line"])
        rows = rows.mutate(position=ibis.row_number().over(shown).cast("int64"))
    return rows


def event_columns(settings: TabularConfig) -> dict[str, str]:
    """Return the mapped name in the event file of each canonical column."""
    mapped = {
        "user_id": settings.columns.user,
        "item_id": settings.columns.item,
        "timestamp": settings.columns.timestamp,
        "label": settings.columns.label,
        "value": settings.columns.value,
        "slate_id": settings.columns.slate,
        "position": settings.columns.position,
    }
    return {name: raw for name, raw in mapped.items() if raw is not None}


def to_epoch(time: ir.Value, time_format: str) -> tuple[ir.Value, ir.BooleanValue]:
    """Return times as whole numbers since 1970, and which of them can't be read as dates.

    Args:
        time: Text, numbers, dates or timestamps.
        time_format: ``"s"``, ``"ms"`` or ``"datetime"`` (whole seconds come out).
    """
    kind = time.type()
    fine = ibis.literal(False)
    if kind.is_timestamp() or kind.is_date():
        stamp = time.cast("timestamp")
        seconds = stamp.epoch_seconds().cast("int64")
        if time_format != "ms":
            return seconds, fine
        return seconds * 1000 + stamp.millisecond().cast("int64"), fine
    if kind.is_floating():
        finite = ~(time.isnan() | time.isinf())
        return ibis.ifelse(finite, time, ibis.null("float64")).floor().cast("int64"), fine
    if kind.is_integer():
        return time, fine
    text = time.cast("string").strip()
    if time_format != "datetime":
        whole = text.re_search(WHOLE_PART).fill_null(False)
        return ibis.ifelse(whole, text.re_extract(WHOLE_PART, 1), text), fine
    seconds = _parse_date_and_time(text)
    return seconds, text.notnull() & (text != "") & seconds.isnull()


def _parse_date_and_time(text: ir.StringValue) -> ir.IntegerValue:
    """Return seconds since 1970 of text like ``2024-05-31 18:30:00+02:00``, null if unreadable.

    Put together from its parts, because engines read time zones and odd dates differently.
    """
    readable = text.re_search(DATE_AND_TIME).fill_null(False)
    whole = ibis.ifelse(readable, text, ibis.null("string"))

    def part(group: int) -> ir.IntegerValue:
        digits = whole.re_extract(DATE_AND_TIME, group)
        return ibis.ifelse(digits == "", "0", digits).cast("int64").fill_null(0)

    day = whole.left(10).try_cast("date")
    days = (day.cast("timestamp").epoch_seconds()).cast("int64")
    sign = ibis.ifelse(whole.re_extract(DATE_AND_TIME, 4) == "-", 1, -1)
    clock = part(1) * 3600 + part(2) * 60 + part(3)
    return days + clock + sign * (part(5) * 3600 + part(6) * 60)


def read_item_features(
    folder: Path, settings: TabularConfig, workspace: Path
) -> tuple[pd.DataFrame | None, RowAccounts]:
    """Return titles, numbers and 0/1 tags of the items; None when no file is mapped."""
    mapped = settings.items
    if mapped is None:
        return None, RowAccounts()
    wanted = [mapped.id, *mapped.numbers, *mapped.tags, *([mapped.title] if mapped.title else [])]
    columns = {name: name for name in wanted}
    file = read_features(
        folder,
        settings,
        mapped.file,
        parameter="ingestion.tabular.items.file",
        columns=columns,
        workspace=workspace,
    )
    file.check_ids(mapped.id)
    for name in mapped.numbers:
        file.check_number(name)
    rows = file.rows.reset_index(drop=True)
    parts = [pd.DataFrame({"item_id": rows[mapped.id].astype(str)})]
    if mapped.title:
        parts.append(rows[[mapped.title]].rename(columns={mapped.title: "title"}))
    for name in mapped.numbers:
        numbers = rows[name].to_numpy(np.float64)
        file.note(f"items without {name}", int(np.isnan(numbers).sum()))
        parts.append(pd.DataFrame({f"content_{name}": numbers}))
    for name in mapped.tags:
        lists = [[tag.strip() for tag in text.split("|")] if text else [] for text in rows[name]]
        parts.append(mark_names(f"content_{name}_", lists))
    return pd.concat(parts, axis=1), file.accounts


def read_user_features(
    folder: Path, settings: TabularConfig, workspace: Path
) -> tuple[pd.DataFrame | None, RowAccounts]:
    """Return categories and numbers of the users; None when no file is mapped."""
    mapped = settings.users
    if mapped is None:
        return None, RowAccounts()
    wanted = [mapped.id, *mapped.categories, *mapped.numbers]
    columns = {name: name for name in wanted}
    file = read_features(
        folder,
        settings,
        mapped.file,
        parameter="ingestion.tabular.users.file",
        columns=columns,
        workspace=workspace,
    )
    file.check_ids(mapped.id)
    for name in mapped.numbers:
        file.check_number(name)
    rows = file.rows.reset_index(drop=True)
    return pd.DataFrame(
        {
            "user_id": rows[mapped.id].astype(str),
            **{f"category_{name}": rows[name] for name in mapped.categories},
            **{f"dense_{name}": rows[name].astype(np.float64) for name in mapped.numbers},
        }
    ), file.accounts


def locate(folder: Path, name: str, parameter: str) -> Path:
    """Return the path of a mapped file, folder or pattern.

    Raises:
        UserError: Nothing is there.
    """
    path = folder / name
    if "*" not in name and not path.exists():
        raise UserError(
            f"{path} does not exist",
            where=parameter,
            remedy="Place your log there or correct the path; docs/bring_your_own_data.md shows "
            "an example to copy.",
        )
    return path


def text_form(settings: TabularConfig) -> TextForm:
    """Return how the user's text files are written."""
    return TextForm(settings.delimiter, settings.encoding, settings.quoting)


def read_features(
    folder: Path,
    settings: TabularConfig,
    name: str,
    *,
    parameter: str,
    columns: Mapping[str, str],
    workspace: Path,
) -> FeatureFile:
    """Return columns of a file beside the events, text or parquet.

    Args:
        folder: Folder that relative paths start from.
        settings: The ``ingestion.tabular`` parameters.
        name: A file, a folder, or a pattern with ``*``.
        parameter: Parameter that names it, for messages.
        columns: Name to give to each wanted column, and its name in the file.
        workspace: Scratch folder.

    Raises:
        UserError: It is missing or unreadable, or lacks a wanted column.
    """
    path = locate(folder, name, parameter)
    parts = find_text_parts(folder, name)
    if parts is None:
        return read_feature_parquet(path, columns)
    file = read_feature_text(
        parts.paths, columns, workspace, form=text_form(settings), labels=parts.labels
    )
    for what, count in parts.notes(name).items():
        file.note(what, count)
    return file
