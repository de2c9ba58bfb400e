"""Coat Shopping: what people chose to rate beside what they were given at random.

T. Schnabel, A. Swaminathan, A. Singh, N. Chandak and T. Joachims: Recommendations as Treatments:
Debiasing Learning and Evaluation, ICML 2016.

The files know no times. A person's chosen ratings are filed under 1970-01-01 and those on coats
drawn at random under the day after, one second each, in an order drawn from the seed of the run.
So the split is by day, what was chosen comes before what was drawn, and no slate mixes the two.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from hsrl_pipeline.data.accounts import RowAccounts
from hsrl_pipeline.data.sources.feature_files import slug
from hsrl_pipeline.data.sources.number_matrix import (
    NumberMatrix,
    draft_from_frame,
    find_file,
    read_numbers,
    read_whole_text,
)
from hsrl_pipeline.data.sources.source_log import (
    EventRules,
    ReadRequest,
    SlateRule,
    SourceLog,
    SplitRule,
)
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.seeding import numpy_generator

FOLDER = "coat"
FEATURES = "user_item_features"
REMEDY = (
    "Place the official files in data/01_raw/coat/: train.ascii, test.ascii, propensities.ascii "
    "and the folder user_item_features/."
)
DAY_SECONDS = 86_400
FIRST_DRAWN_DAY = "1970-01-02"


def read_coat(request: ReadRequest) -> SourceLog:
    """Return Coat: chosen ratings train, ratings on coats drawn at random test.

    People and coats are named by their row and column in the official files, from 1.

    Raises:
        UserError: A file is missing or empty, files disagree in the number of people, or no row
            of a file is good.
    """
    items, item_accounts = _read_items(request.raw_folder)
    users, user_accounts, n_people = _read_users(request.raw_folder)
    chosen, drawn = (
        _read_ratings(request.raw_folder, name, n_people, len(items))
        for name in ("train.ascii", "test.ascii")
    )
    parts = [
        _events(matrix, day, numpy_generator(request.seed, f"coat.order.{matrix.name}"), chance)
        # each drawn coat is one of all, whichever a person chose; of chosen ones it is not known
        for day, (matrix, chance) in enumerate(((chosen, np.nan), (drawn, 1.0 / len(items))))
    ]
    accounts = item_accounts.merged(user_accounts)
    for matrix in (chosen, drawn):
        accounts = accounts.merged(matrix.accounts)
    return SourceLog(
        draft_events=draft_from_frame(pd.concat(parts), request.workspace),
        items=items,
        users=users,
        slates=SlateRule(size=request.config.slate_size, session_gap=DAY_SECONDS // 2),
        split=SplitRule("day", first_test_day=FIRST_DRAWN_DAY),
        rules=EventRules(
            positive_above=request.config.positive_above,
            value_range=(1, 5),
            value_name="rating",
            numeric_ids=True,
            duplicates_on=(),
        ),
        accounts=accounts,
        has_propensities=True,
    )


def read_propensities(request: ReadRequest) -> tuple[pd.DataFrame, RowAccounts]:
    """Return the probability with which each person came to rate each coat by choice.

    Returns:
        ``user_id``, ``item_id`` (string) and ``propensity`` (float32, in (0, 1]), one row per pair
        of a person and a coat whose row is good; and the accounts of the file.

    Raises:
        UserError: The file is missing or has another number of people or coats, or no row is good.
    """
    width = read_numbers(_path(request.raw_folder, f"{FEATURES}/item_features.ascii"), REMEDY)
    people = read_numbers(_path(request.raw_folder, f"{FEATURES}/user_features.ascii"), REMEDY)
    path = _path(request.raw_folder, "propensities.ascii")
    matrix = read_numbers(path, REMEDY, width=width.n_lines)
    matrix.require_range(1e-6, 1.0, "propensity")
    matrix.require_rows()
    _require_people(matrix, people.n_lines)
    matrix.accounts.settle(request.config.on_bad_rows)
    n_coats = matrix.values.shape[1]
    pairs = pd.DataFrame(
        {
            "user_id": np.repeat(matrix.lines, n_coats).astype(str),
            "item_id": np.tile(np.arange(1, n_coats + 1), len(matrix.lines)).astype(str),
            "propensity": matrix.values.ravel().astype(np.float32),
        }
    )
    return pairs, matrix.accounts


def _read_ratings(folder: Path, name: str, n_people: int, n_coats: int) -> NumberMatrix:
    """Return a matrix of ratings with NaN where there is none."""
    matrix = read_numbers(_path(folder, name), REMEDY, width=n_coats)
    matrix.require_whole("rating")
    matrix.require_range(1, 5, "rating", none=0)
    matrix.require_rows()
    _require_people(matrix, n_people)
    return matrix


def _events(
    matrix: NumberMatrix, day: int, draw: np.random.Generator, chance: float
) -> pd.DataFrame:
    """Return the ratings of a matrix as events of one day, each person's in a drawn order."""
    rows, columns = np.nonzero(~np.isnan(matrix.values))
    order = np.lexsort((draw.random(len(rows)), rows))
    rows, columns = rows[order], columns[order]
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    return pd.DataFrame(
        {
            "file": matrix.name,
            "file_order": np.int64(day),
            "line": matrix.lines[rows],
            "user_id": matrix.lines[rows].astype(str),
            "item_id": (columns + 1).astype(str),
            "timestamp": day * DAY_SECONDS + place,
            "value": matrix.values[rows, columns],
            "propensity": chance,
        }
    )


def _read_items(folder: Path) -> tuple[pd.DataFrame, RowAccounts]:
    """Return 0/1 content of the coats, and a title made of it."""
    matrix, names = _read_flags(folder, "item")
    content = pd.DataFrame(
        matrix.values.astype(np.float32),
        columns=[f"content_{slug(group)}_{slug(value)}" for group, value in names],
    )
    words = [value for group, value in names if group != "onfrontpage"]
    shown = [place for place, (group, _) in enumerate(names) if group != "onfrontpage"]
    titles = [
        ", ".join(word for word, flag in zip(words, row[shown], strict=True) if flag)
        for row in matrix.values
    ]
    known = pd.DataFrame({"item_id": matrix.lines.astype(str), "title": titles})
    # a coat without features is still a coat
    every = pd.DataFrame({"item_id": np.arange(1, matrix.n_lines + 1).astype(str)})
    return every.merge(pd.concat([known, content], axis=1), how="left"), matrix.accounts


def _read_users(folder: Path) -> tuple[pd.DataFrame, RowAccounts, int]:
    """Return the people's groups as categories, the accounts, and how many people there are."""
    matrix, names = _read_flags(folder, "user")
    groups = list(dict.fromkeys(group for group, _ in names))
    for group in groups:
        own = np.array([name == group for name, _ in names])
        twice = (matrix.values[:, own].sum(axis=1) > 1)[:, None] & own
        matrix.refuse(twice & (matrix.values == 1), f"more than one {group} is marked")
    matrix.require_rows()
    users = pd.DataFrame({"user_id": matrix.lines.astype(str)})
    for group in groups:
        places = [place for place, (name, _) in enumerate(names) if name == group]
        flags = matrix.values[:, places]
        users[f"category_{slug(group)}"] = [
            names[places[int(row.argmax())]][1] if row.any() else None for row in flags
        ]
    return users, matrix.accounts, matrix.n_lines


def _read_flags(folder: Path, kind: str) -> tuple[NumberMatrix, list[tuple[str, str]]]:
    """Return rows of 0/1 flags and the (group, value) that each column stands for."""
    map_path = _path(folder, f"{FEATURES}/{kind}_features_map.txt")
    lines = read_whole_text(map_path, REMEDY).split("\n")
    names = []
    for number, line in enumerate(lines, start=1):
        group, colon, value = line.strip().partition(":")
        if not colon and not group:
            continue
        if not (colon and group and value):
            raise UserError(
                f"A feature's name is not of the form group:value: {line.strip()[:80]!r}",
                where=f"{map_path.name}, line {number}",
                remedy=REMEDY,
            )
        names.append((group, value))
    path = _path(folder, f"{FEATURES}/{kind}_features.ascii")
    matrix = read_numbers(path, REMEDY, width=len(names))
    matrix.require_range(0, 1, "flag")
    matrix.require_whole("flag")
    matrix.require_rows()
    return matrix, names


def _require_people(matrix: NumberMatrix, n_people: int) -> None:
    """Refuse a file that knows fewer or more people than the file of user features."""
    if matrix.n_lines != n_people:
        raise UserError(
            f"{matrix.name} has {matrix.n_lines} people, user_features.ascii has {n_people}",
            where=f"{matrix.name}, line {min(matrix.n_lines, n_people) + 1}",
            remedy="Each person has one line in every file, in the same order. " + REMEDY,
        )


def _path(folder: Path, member: str) -> Path:
    return find_file(folder, FOLDER, member, REMEDY)
