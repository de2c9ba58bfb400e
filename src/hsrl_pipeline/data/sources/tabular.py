"""The user's own logs: csv or parquet with a mapping of columns in the parameters.

docs/bring_your_own_data.md is the user's side of this module.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from hsrl_pipeline.config.ingestion_tabular import TabularConfig
from hsrl_pipeline.data.accounts import RowAccounts
from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.data.engines.text_landing import TextForm
from hsrl_pipeline.data.sources.epoch_times import to_epoch
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
IDS = ("user_id", "item_id", "slate_id")


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
            duplicates_on=(
                "user_id",
                "item_id",
                "timestamp",
                "nanoseconds",
                "value",
                "label",
                "slate_id",
            ),
        ),
        time_unit="ms" if settings.time_format == "ms" else "s",
        column_names=event_columns(settings),
        has_propensities=columns.propensity is not None,
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
        rows = engine.scan_parquet(folder / settings.events, columns, times=("timestamp",), ids=IDS)
        rows = rows.mutate(reason=nothing, raw=nothing)
    time = to_epoch(rows.timestamp, settings.time_format)
    if time.unreadable is not None:
        bad = rows.reason.isnull() & time.unreadable
        rows = rows.mutate(
            reason=ibis.ifelse(
                bad, "timestamp is not a date and time like 2024-05-31 18:30:00", rows.reason
            ),
            reason_column=ibis.ifelse(bad, "timestamp", ibis.null("string")),
            raw=ibis.ifelse(bad, rows.timestamp.cast("string"), rows.raw),
        )
    rows = rows.mutate(timestamp=time.whole, **time.beyond)
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
        "propensity": settings.columns.propensity,
    }
    return {name: raw for name, raw in mapped.items() if raw is not None}


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
        ids=[mapped.id],
        workspace=workspace,
        lists=mapped.tags,
    )
    file.check_ids(mapped.id)
    texts = file.rows  # a column of numbers may also be the id or a category
    for name in mapped.numbers:
        file.check_number(name)
    rows = file.rows.reset_index(drop=True)
    texts = texts.loc[file.rows.index].reset_index(drop=True)
    parts = [pd.DataFrame({"item_id": texts[mapped.id].astype(str)})]
    if mapped.title:
        parts.append(pd.DataFrame({"title": texts[mapped.title]}))
    for name in mapped.numbers:
        numbers = rows[name].to_numpy(np.float64)
        file.note(f"items without {name}", int(np.isnan(numbers).sum()))
        parts.append(pd.DataFrame({f"content_{name}": numbers}))
    for name in mapped.tags:
        lists = [_tags(cell) for cell in texts[name]]
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
        ids=[mapped.id],
        workspace=workspace,
    )
    file.check_ids(mapped.id)
    texts = file.rows  # a column of numbers may also be the id or a category
    for name in mapped.numbers:
        file.check_number(name)
    rows = file.rows.reset_index(drop=True)
    texts = texts.loc[file.rows.index].reset_index(drop=True)
    return pd.DataFrame(
        {
            "user_id": texts[mapped.id].astype(str),
            **{f"category_{name}": texts[name] for name in mapped.categories},
            **{f"dense_{name}": rows[name].astype(np.float64) for name in mapped.numbers},
        }
    ), file.accounts


def _tags(cell: str | list[str] | None) -> list[str]:
    """Return the names in a field: a list of parquet, or text separated by ``|``."""
    names = cell if isinstance(cell, list) else (cell or "").split("|")
    return [name.strip() for name in names]


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
    ids: Collection[str],
    workspace: Path,
    lists: Collection[str] = (),
) -> FeatureFile:
    """Return columns of a file beside the events, text or parquet.

    Args:
        folder: Folder that relative paths start from.
        settings: The ``ingestion.tabular`` parameters.
        name: A file, a folder, or a pattern with ``*``.
        parameter: Parameter that names it, for messages.
        columns: Name to give to each wanted column, and its name in the file.
        ids: Names in the file of columns that are ids.
        workspace: Scratch folder.
        lists: Names in the file of columns that may hold lists in parquet.

    Raises:
        UserError: It is missing or unreadable, or lacks a wanted column.
    """
    path = locate(folder, name, parameter)
    parts = find_text_parts(folder, name)
    if parts is None:
        return read_feature_parquet(path, columns, lists, ids=ids)
    file = read_feature_text(
        parts.paths, columns, workspace, form=text_form(settings), labels=parts.labels
    )
    for what, count in parts.notes(name).items():
        file.note(what, count)
    return file
