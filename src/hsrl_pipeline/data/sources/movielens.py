"""MovieLens-1M as it is downloaded.

F. M. Harper and J. A. Konstan: The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from hsrl_pipeline.data.accounts import BadRows, RowAccounts
from hsrl_pipeline.data.engines.engine import Engine
from hsrl_pipeline.data.sources.raw_files import RawArchive
from hsrl_pipeline.data.sources.source_log import (
    EventRules,
    ReadRequest,
    SlateRule,
    SourceLog,
    SplitRule,
)
from hsrl_pipeline.errors import UserError

SEPARATOR = "::"
YEAR = re.compile(r"\((\d{4})\)\s*$")


def read_ml1m(request: ReadRequest) -> SourceLog:
    """Return MovieLens-1M: ratings above 3 are positive, users come with demographics.

    Raises:
        UserError: The raw data is missing, damaged or incomplete.
    """
    archive = RawArchive(request.raw_folder, "ml-1m", "ml1m")
    ratings = archive.extract("ratings.dat", request.workspace)
    movies = archive.read_text("movies.dat", request.workspace, "latin-1")
    users = archive.read_text("users.dat", request.workspace, "latin-1")
    items, item_accounts = parse_movies(movies)
    people, people_accounts = parse_users(users)
    return SourceLog(
        draft_events=lambda engine: draft_ratings(engine, ratings),
        items=items,
        users=people,
        slates=SlateRule(size=request.config.slate_size),
        split=SplitRule("time_share", train_share=request.config.train_share),
        rules=EventRules(
            positive_above=request.config.positive_above,
            value_range=(1, 5),
            value_name="rating",
            numeric_ids=True,
        ),
        accounts=item_accounts.merged(people_accounts),
    )


def draft_ratings(engine: Engine, path: Path) -> ibis.Table:
    """Return the events of a ``user::item::rating::timestamp`` file."""
    return engine.scan_fields(
        path, ("user_id", "item_id", "value", "timestamp"), separator=SEPARATOR
    )


def parse_movies(text: str) -> tuple[pd.DataFrame, RowAccounts]:
    """Return titles, genres and decade of ``movieId::title (year)::genre|genre`` lines."""
    rows, accounts = split_fields(text, "movies.dat", 3)
    ids = [fields[0] for fields in rows]
    titles = [fields[1] for fields in rows]
    content = content_features(titles, [fields[2].split("|") for fields in rows])
    frame = pd.concat([pd.DataFrame({"item_id": ids, "title": titles}), content], axis=1)
    return first_of_each(frame, "item_id", accounts)


def parse_users(text: str) -> tuple[pd.DataFrame, RowAccounts]:
    """Return the demographics of ``userId::gender::age::occupation::zip`` lines."""
    rows, accounts = split_fields(text, "users.dat", 5)
    frame = pd.DataFrame(rows, columns=["user_id", "gender", "age", "occupation", "zip"])
    people = pd.DataFrame(
        {
            "user_id": frame["user_id"],
            "category_gender": frame["gender"],
            "category_age": frame["age"],
            "category_occupation": frame["occupation"],
            "category_zip_area": frame["zip"].str[:1],
        }
    )
    categories = people.columns[1:]
    people[categories] = people[categories].where(people[categories] != "", None)
    return first_of_each(people, "user_id", accounts)


def content_features(titles: list[str], genres: list[list[str]]) -> pd.DataFrame:
    """Return 0/1 content columns: one for each genre and each decade of release.

    Args:
        titles: Titles that end with the year in parentheses; others get no decade.
        genres: Genre names of each title.

    Returns:
        Columns ``content_genre_<name>`` and ``content_decade_<year>``, float32, sorted by name.
    """
    columns: dict[str, np.ndarray] = {}

    def mark(column: str, row: int) -> None:
        columns.setdefault(column, np.zeros(len(titles), np.float32))[row] = 1.0

    for row, (title, names) in enumerate(zip(titles, genres, strict=True)):
        for name in names:
            if name and name != "(no genres listed)":
                mark(f"content_genre_{_slug(name)}", row)
        year = YEAR.search(title)
        if year is not None:
            mark(f"content_decade_{int(year.group(1)) // 10 * 10}", row)
    return pd.DataFrame({name: columns[name] for name in sorted(columns)}, index=range(len(titles)))


def split_fields(text: str, file: str, width: int) -> tuple[list[list[str]], RowAccounts]:
    """Return the fields of each well-formed line, and the accounts of all lines.

    A blank line is no row.

    Raises:
        UserError: There is no row.
    """
    rows: list[list[str]] = []
    bad: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.rstrip("\r")
        if not stripped.strip():
            continue
        fields = stripped.split(SEPARATOR)
        if len(fields) == width and fields[0].isdigit():
            rows.append(fields)
        else:
            bad.append((number, stripped))
    if not rows and not bad:
        raise UserError(f"{file} is empty", remedy="Replace it with the full file.")
    reason = f"line does not have {width} fields separated by {SEPARATOR}"
    defects = [BadRows(reason, len(bad), file, bad[0][0], example=bad[0][1][:80])] if bad else []
    return rows, RowAccounts(len(rows) + len(bad), len(rows), bad=tuple(defects))


def first_of_each(
    frame: pd.DataFrame, key: str, accounts: RowAccounts
) -> tuple[pd.DataFrame, RowAccounts]:
    """Return the frame with the first row of each id, and the accounts with the repeated rows."""
    repeated = frame[key].duplicated()
    count = int(repeated.sum())
    return frame[~repeated].reset_index(drop=True), replace(
        accounts,
        rows_out=accounts.rows_out - count,
        repeated=count,
        notes={f"repeated {key} in feature file": count},
    )


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
