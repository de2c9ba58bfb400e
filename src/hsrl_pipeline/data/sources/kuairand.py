"""KuaiRand-Pure as it is downloaded: a short-video feed that shows one item at a time.

C. Gao et al.: KuaiRand: An Unbiased Sequential Recommendation Dataset with Randomly Exposed Videos,
CIKM 2022. One exposure is a slate of size 1, ``is_click`` is the response
(docs/protocol.md#kuairand-pure).
"""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.data.engines.text_landing import PLAIN_CSV, read_header
from hsrl_pipeline.data.sources.feature_files import FeatureFile, mark_names, read_feature_text
from hsrl_pipeline.data.sources.raw_files import find_folder
from hsrl_pipeline.data.sources.repeated_rows import mark_repeats
from hsrl_pipeline.data.sources.source_log import (
    EventRules,
    ReadRequest,
    SlateRule,
    SourceLog,
    SplitRule,
)
from hsrl_pipeline.errors import UserError

FOLDER = "KuaiRand-Pure"
LOG_PATTERN = "log_standard_*_pure.csv"
LOG_COLUMNS = {
    "user_id": "user_id",
    "item_id": "video_id",
    "timestamp": "time_ms",
    "label": "is_click",
    "value": "play_time_ms",
}
BEIJING = 8

USER_CATEGORIES = (
    "user_active_degree",
    "is_live_streamer",
    "is_video_author",
    *(f"onehot_feat{place}" for place in range(18)),
)
USER_COUNTS = ("follow_user_num", "fans_user_num", "friend_user_num", "register_days")
VIDEO_COLUMNS = (
    "video_type",
    "upload_dt",
    "upload_type",
    "video_duration",
    "server_width",
    "server_height",
    "music_type",
    "tag",
)


def read_kuairand_pure(request: ReadRequest) -> SourceLog:
    """Return the standard logs, in sessions, with the features of users and videos.

    Raises:
        UserError: The raw data is missing or incomplete.
    """
    settings = request.config.kuairand
    folder = find_folder(request.raw_folder, FOLDER, "kuairand_pure")
    logs = find_logs(folder, settings.logs)
    people = read_feature_text(
        find_file(folder, "user_features_pure.csv"),
        {name: name for name in ("user_id", *USER_CATEGORIES, *USER_COUNTS)},
        request.workspace,
    )
    videos = read_feature_text(
        find_file(folder, "video_features_basic_pure.csv"),
        {name: name for name in ("video_id", *VIDEO_COLUMNS)},
        request.workspace,
    )
    users, items = describe_users(people), describe_videos(videos)
    return SourceLog(
        draft_events=lambda engine: draft_exposures(engine, logs),
        items=items,
        users=users,
        slates=SlateRule(size=1, session_gap=round(settings.session_gap_minutes * 60_000)),
        split=SplitRule("day", first_test_day=settings.first_test_day),
        rules=EventRules(value_name="play time", numeric_ids=True, duplicates_on=()),
        time_unit="ms",
        utc_offset_hours=BEIJING,
        column_names=LOG_COLUMNS,
        accounts=people.accounts.merged(videos.accounts),
    )


def find_file(folder: Path, name: str) -> Path:
    """Return a file of the official layout (``data/`` inside) or of a flat folder.

    Raises:
        UserError: It is in neither place.
    """
    for path in (folder / "data" / name, folder / name):
        if path.is_file():
            return path
    raise UserError(
        f"{folder / 'data' / name} does not exist",
        remedy=f"Run `make data DATASET=kuairand_pure`, or place the official {name} there.",
    )


def find_logs(folder: Path, names: tuple[str, ...] | None) -> list[Path]:
    """Return the logs to read: those named, or every standard log in the order of the names.

    Raises:
        UserError: A named log is missing, or there is none at all.
    """
    if names is not None:
        return [find_file(folder, name) for name in names]
    found = {
        path.name: path for place in (folder, folder / "data") for path in place.glob(LOG_PATTERN)
    }
    if not found:
        raise UserError(
            f"There is no {LOG_PATTERN} in {folder} or {folder / 'data'}",
            remedy="Run `make data DATASET=kuairand_pure`, or place the official logs there.",
        )
    return [found[name] for name in sorted(found)]


def draft_exposures(engine: Engine, logs: list[Path]) -> ibis.Table:
    """Return the exposures of all logs; a row that repeats another in every column is a defect."""
    parts = []
    for order, path in enumerate(logs):
        columns = _all_columns(path)
        rows = engine.scan_csv(path, columns)
        others = [name for name in columns if name not in LOG_COLUMNS]
        filled = [rows[name].fill_null("") for name in others]
        rest = reduce(lambda joined, field: joined + "," + field, filled, ibis.literal(""))
        parts.append(rows.mutate(file_order=ibis.literal(order, "int64"), rest=rest).drop(*others))
    exposures = ibis.union(*parts) if len(parts) > 1 else parts[0]
    return mark_repeats(exposures, [*LOG_COLUMNS, "rest"]).drop("rest")


def describe_users(people: FeatureFile) -> pd.DataFrame:
    """Return categories as they are and counts on a logarithmic scale."""
    people.check_ids("user_id", numeric=True)
    for name in USER_COUNTS:
        people.check_number(name, low=0)
    rows = people.rows.reset_index(drop=True)
    return pd.DataFrame(
        {
            "user_id": rows["user_id"].astype(str),
            **{f"category_{name}": rows[name] for name in USER_CATEGORIES},
            **{f"dense_log_{name}": np.log1p(rows[name].to_numpy(float)) for name in USER_COUNTS},
        }
    )


def describe_videos(videos: FeatureFile) -> pd.DataFrame:
    """Return what is known of a video before it is shown: kind, length, shape, tags, upload day.

    The statistics file is left alone: it counts the very clicks that are to be predicted.
    """
    videos.check_ids("video_id", numeric=True)
    for name in ("video_duration", "server_width", "server_height"):
        videos.check_number(name, low=0)
    rows = videos.rows.reset_index(drop=True)
    seconds = rows["video_duration"].to_numpy(float) / 1000
    videos.note("videos without a duration", int(np.isnan(seconds).sum()))
    videos.note("videos without a tag", int(rows["tag"].isna().sum()))
    uploaded = pd.to_datetime(rows["upload_dt"], format="%Y-%m-%d", errors="coerce", utc=True)
    midnight = pd.Timestamp("1970-01-01", tz="UTC") + pd.Timedelta(hours=BEIJING)
    kinds = [
        mark_names(
            f"content_{prefix}_",
            [[text.removesuffix(".0")] if text else [] for text in rows[column]],
        )
        for prefix, column in (
            ("type", "video_type"),
            ("upload", "upload_type"),
            ("music", "music_type"),
        )
    ]
    tags = [text.split(",") if text else [] for text in rows["tag"]]
    shape = rows["server_height"].to_numpy(float) > rows["server_width"].to_numpy(float)
    described = pd.DataFrame(
        {
            "item_id": rows["video_id"].astype(str),
            "released_at": ((uploaded - midnight) // pd.Timedelta(seconds=1)).astype("Int64"),
            "content_portrait": shape.astype(np.float32),
            # an hour's video counts as 1
            "content_log_seconds": np.log1p(seconds) / np.log1p(3600),
        }
    )
    return pd.concat([described, *kinds, mark_names("content_tag_", tags)], axis=1)


def _all_columns(path: Path) -> dict[str, str]:
    """Return canonical names of the columns that matter and the rest of the header as it is."""
    found = read_header(path, PLAIN_CSV, path.name)
    header = () if found is None else found.names
    rest = {f"other_{name}": name for name in header if name not in LOG_COLUMNS.values()}
    return LOG_COLUMNS | rest
