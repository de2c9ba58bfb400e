"""RL4RS logs: nine items shown in three shelves, each bought or not.

Two forms are read: the raw '@'-separated log with click histories and a portrait of 42 numbers,
and the impressions of BigDataCup 2021 with ten binary flags, without history or time.
"""

from __future__ import annotations

import ibis
import pandas as pd

from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.data.engines.text_landing import TextForm
from hsrl_pipeline.data.sources.raw_files import find_folder
from hsrl_pipeline.data.sources.repeated_rows import mark_repeats
from hsrl_pipeline.data.sources.rl4rs_files import (
    RAW_COLUMNS,
    SHELVES,
    RL4RSFiles,
    find_files,
    log_columns,
    read_items,
)
from hsrl_pipeline.data.sources.rl4rs_portraits import FULL_PORTRAIT, TEN_FLAGS, read_portraits
from hsrl_pipeline.data.sources.source_log import (
    EventRules,
    ReadRequest,
    SlateRule,
    SourceLog,
    SplitRule,
)

SLATE_SIZE = 9
NINE_IDS = rf"^[0-9]{{1,18}}(,[0-9]{{1,18}}){{{SLATE_SIZE - 1}}}$"
NINE_LABELS = rf"^[01](,[01]){{{SLATE_SIZE - 1}}}$"
HISTORY = r"^[0-9]{1,18}(,[0-9]{1,18})*$"
WHOLE = r"^[0-9]{1,18}$"
LONGEST_HISTORY = 1 << 16
"""Place of a history's first click, counted in lines, behind that of the line before."""


def read_rl4rs(request: ReadRequest) -> SourceLog:
    """Return the log of the form that the parameters name or the files show.

    Raises:
        UserError: The raw data is missing or incomplete.
    """
    settings = request.config.rl4rs
    files = find_files(find_folder(request.raw_folder, "rl4rs", "rl4rs"), settings)
    items, item_accounts = read_items(files.item_info, request.workspace)
    users, user_accounts = read_portraits(files, request.workspace)
    columns = log_columns(files)
    return SourceLog(
        draft_events=lambda engine: draft_events(engine, files, items),
        items=items,
        users=users,
        slates=SlateRule(size=SLATE_SIZE, given=True),
        split=SplitRule(
            "user_modulo", modulo=10, train_remainders=tuple(settings.train_remainders)
        ),
        # whole lines are compared by the draft: one line is one slate
        rules=EventRules(numeric_ids=True, duplicates_on=()),
        column_names=columns,
        accounts=item_accounts.merged(user_accounts),
    )


def draft_events(engine: Engine, files: RL4RSFiles, items: pd.DataFrame) -> ibis.Table:
    """Return the nine events of each line and, in the raw form, the clicks before the session.

    Args:
        engine: Where to run.
        files: The chosen log.
        items: The item frame, for shelves.
    """
    lines = engine.persist(judge_lines(engine, files), "rl4rs-lines")
    exposed = log_columns(files)["exposed"]
    lines = engine.persist(judge_slates(lines, items, exposed), "rl4rs-slates")
    if files.form == "bigdatacup":
        return spread_slates(lines)
    return ibis.union(spread_slates(lines), spread_histories(lines, items))


def judge_lines(engine: Engine, files: RL4RSFiles) -> ibis.Table:
    """Return the lines of the log with the first defect that each shows by itself.

    Columns: ``file``, ``file_order``, ``line``, the canonical names of `log_columns`, ``timestamp``
    and ``history`` in both forms, ``whole`` (nine item ids), and ``reason``, ``reason_column`` and
    ``raw``, null in good lines.
    """
    raw = files.form == "raw"
    columns = log_columns(files)
    rows = engine.scan_csv(
        files.log,
        columns,
        form=TextForm("@" if raw else ","),
        names=None if files.header else RAW_COLUMNS,
    )
    nothing = ibis.null("string")
    if not raw:
        rows = rows.mutate(timestamp=ibis.literal("0"), history=nothing)
    rows = mark_repeats(rows, [*columns, "timestamp", "history"])
    rows = rows.mutate(
        {name: rows[name].strip() for name in ("user_id", "exposed", "feedback", "portrait")}
    )
    whole = rows.exposed.re_search(NINE_IDS).fill_null(False)
    labelled = rows.feedback.re_search(NINE_LABELS).fill_null(False)
    portrait = rows.portrait.fill_null("")
    drawn = (portrait == "") | portrait.re_search(FULL_PORTRAIT if raw else TEN_FLAGS)
    told = rows.history.fill_null("0").strip().re_search(HISTORY)
    form = "42 numbers" if raw else "10 flags of 0 or 1"
    checks = (
        (whole, f"exposed_items is not {SLATE_SIZE} item ids", "exposed"),
        (labelled, f"user_feedback is not {SLATE_SIZE} labels of 0 or 1", "feedback"),
        (drawn, f"portrait is not {form}", "portrait"),
        (told, "click history is not a list of item ids", "history"),
    )
    shown = [(check, why, name) for check, why, name in checks if name in columns]
    found = rows.mutate(
        whole=whole,
        why=ibis.cases(*((~good, why) for good, why, _ in shown), else_=nothing),
        where=ibis.cases(*((~good, columns[name]) for good, _, name in shown), else_=nothing),
        what=ibis.cases(*((~good, rows[name].left(80)) for good, _, name in shown), else_=nothing),
    )
    fresh = found.reason.isnull()
    return found.mutate(
        reason=ibis.ifelse(fresh, found.why, found.reason),
        reason_column=ibis.ifelse(fresh, found.where, nothing),
        raw=ibis.ifelse(fresh, found.what, found.raw.left(80)),
    ).drop("why", "where", "what")


def judge_slates(lines: ibis.Table, items: pd.DataFrame, column: str) -> ibis.Table:
    """Return the lines with a reason also for slates that can't have been shown.

    A slate is feasible when its items are listed and distinct and the slots 1-3, 4-6 and 7-9 hold
    items of the shelves 1, 2 and 3 (docs/protocol.md#rl4rs).

    Args:
        lines: The persisted lines of `judge_lines`.
        items: The item frame.
        column: Name of the column of shown items in the log, for messages.
    """
    shelves = ibis.memtable(
        {"listed": items["item_id"].tolist(), "shelf": items["shelf"].astype(int).tolist()},
        schema={"listed": "string", "shelf": "int64"},
    )
    shown = spread_slates(lines.filter(lines.reason.isnull()))
    placed = shown.left_join(shelves, shown.item_id == shelves.listed)
    slots_per_shelf = SLATE_SIZE // SHELVES
    slates = placed.group_by("line").agg(
        unlisted=placed.shelf.isnull().sum(),
        n_items=placed.item_id.nunique(),
        astray=(placed.shelf != (placed.position // slots_per_shelf) + 1).sum(),
    )
    verdicts = slates.select(
        bad_line="line",
        verdict=ibis.cases(
            (slates.unlisted > 0, "item is not in the item file"),
            (slates.n_items < SLATE_SIZE, "slate repeats an item"),
            (slates.astray > 0, "slate is infeasible: an item stands on another shelf"),
            else_=ibis.null("string"),
        ),
    )
    verdicts = verdicts.filter(verdicts.verdict.notnull())
    marked = lines.left_join(verdicts, lines.line == verdicts.bad_line)
    infeasible = marked.verdict.notnull()
    return marked.mutate(
        file_order=marked.file_order.cast("int64"),
        reason=ibis.coalesce(marked.reason, marked.verdict),
        reason_column=ibis.ifelse(infeasible, column, marked.reason_column),
        raw=ibis.ifelse(infeasible, marked.exposed, marked.raw),
    ).drop("bad_line", "verdict")


def spread_slates(lines: ibis.Table) -> ibis.Table:
    """Return nine events of each line with nine items, one row of each other line."""
    places = ibis.memtable({"place": list(range(SLATE_SIZE))}, schema={"place": "int32"})
    both = lines.cross_join(places)
    labelled = both.feedback.re_search(NINE_LABELS).fill_null(False) & both.whole
    nothing = ibis.null("string")
    return both.filter(both.whole | (both.place == 0)).select(
        "file",
        "file_order",
        "line",
        "user_id",
        "timestamp",
        "reason",
        "reason_column",
        "raw",
        item_id=ibis.ifelse(both.whole, both.exposed.split(",")[both.place], nothing),
        label=ibis.ifelse(labelled, both.feedback.split(",")[both.place], nothing),
        slate_id=both.line.cast("string"),
        position=both.place.cast("int64"),
        prior=ibis.literal(False),
    )


def spread_histories(lines: ibis.Table, items: pd.DataFrame) -> ibis.Table:
    """Return the clicks from before a session, oldest first, as its earliest good line tells them.

    Later lines of the session repeat the history, and what was bought in between is in the log
    itself. Clicks on items that the item file lacks are passed over, and so is the 0 that stands
    for no history.
    """
    good = lines.filter(lines.reason.isnull(), lines.timestamp.re_search(WHOLE))
    good = good.mutate(seconds=good.timestamp.try_cast("int64"))
    sessions = good.mutate(
        start=good.seconds.min().over(ibis.window(group_by="user_id")),
        rank=ibis.row_number().over(ibis.window(group_by="user_id", order_by=["seconds", "line"])),
    )
    clicks = sessions.filter(
        sessions.rank == 0, sessions.history.notnull(), sessions.history != "0"
    ).mutate(clicked=ibis._.history.strip().split(","))
    spread = clicks.mutate(place=ibis.range(clicks.clicked.length()).unnest())
    spread = spread.mutate(item_id=spread.clicked[spread.place.cast("int32")])
    nothing = ibis.null("string")
    return spread.filter(spread.item_id.isin(items["item_id"].tolist())).select(
        "file",
        # before every event, and in the history's own order
        ibis.literal(-1, "int64").name("file_order"),
        (spread.line * LONGEST_HISTORY + spread.place).name("line"),
        "user_id",
        spread.start.cast("string").name("timestamp"),
        reason=nothing,
        reason_column=nothing,
        raw=nothing,
        item_id=spread.item_id,
        label=ibis.literal("1"),
        slate_id=nothing,
        position=ibis.null("int64"),
        prior=ibis.literal(True),
    )
