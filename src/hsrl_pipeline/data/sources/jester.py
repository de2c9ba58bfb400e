"""Jester: people who rated all of a hundred jokes, so that what they would answer is known.

K. Goldberg, T. Roeder, D. Gupta and C. Perkins: Eigentaste: A Constant Time Collaborative Filtering
Algorithm, Information Retrieval 4(2), 2001.

Some people, drawn with the seed of the run, are held back: they judge policies by what they really
answered. The log is made of the others. It knows no times: training people follow one another, and
each person's answers stand one second apart in an order drawn from the seed. On the first day after
them, the test split, follow the few answers that are known of each person held back.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.config.ingestion_jester import JesterConfig
from hsrl_pipeline.data.accounts import RowAccounts, nothing_left
from hsrl_pipeline.data.engines.text_landing import PLAIN_CSV, read_header
from hsrl_pipeline.data.sources.feature_files import read_feature_text
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

FOLDER = "jester"
RATINGS = "jester-data-1.csv"
JOKES = "jester-jokes.csv"
REMEDY = f"Place {RATINGS} and {JOKES} in data/01_raw/jester/ (docs/data_sources.md)."
NOT_RATED = 99
TITLE_LENGTH = 60
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class People:
    """Who trains, who is held back, and in which order everybody answers.

    Attributes:
        matrix: Ratings with NaN where a joke was not rated, without the first column.
        training: (training,) int64. Rows of the people whose answers are the log.
        held_back: (judge,) int64. Rows of the people who judge; each rated every joke.
        order: (row, joke) int64. Columns in the order of each person's answers.
    """

    matrix: NumberMatrix
    training: NDArray[np.int64]
    held_back: NDArray[np.int64]
    order: NDArray[np.int64]


def read_jester(request: ReadRequest) -> SourceLog:
    """Return all answers of the training people and the first few of those held back.

    People are named by their line in the file of ratings, jokes by their column, both from 1.

    Raises:
        UserError: A file is missing, empty or has other columns, no row is good, or too few people
            rated every joke.
    """
    settings = request.config.jester
    people = _read_people(request)
    items, item_accounts = _read_jokes(request, people.matrix.values.shape[1])
    everything = _events(people, people.training, None)
    first_test_day = 1 + int(everything["timestamp"].max()) // DAY_SECONDS
    known = _events(people, people.held_back, settings.known_jokes)
    known["timestamp"] += first_test_day * DAY_SECONDS
    day = datetime.date(1970, 1, 1) + datetime.timedelta(days=first_test_day)
    return SourceLog(
        draft_events=draft_from_frame(pd.concat([everything, known]), request.workspace),
        items=items,
        users=None,
        slates=SlateRule(size=request.config.slate_size),
        split=SplitRule("day", first_test_day=day.isoformat()),
        rules=EventRules(
            positive_above=request.config.positive_above,
            value_range=(-10, 10),
            value_name="rating",
            numeric_ids=True,
            duplicates_on=(),
        ),
        accounts=people.matrix.accounts.merged(item_accounts),
    )


def read_recorded_answers(request: ReadRequest) -> tuple[pd.DataFrame, RowAccounts]:
    """Return what the people held back answered to every joke.

    Returns:
        ``user_id``, ``item_id`` (string) and ``label`` (int8, 1 for a positive answer); and empty
        accounts, because `read_jester` accounts for the file.

    Raises:
        UserError: As for `read_jester`.
    """
    people = _read_people(request)
    values = people.matrix.values[people.held_back]
    n_jokes = values.shape[1]
    answers = pd.DataFrame(
        {
            "user_id": np.repeat(people.matrix.lines[people.held_back], n_jokes).astype(str),
            "item_id": np.tile(np.arange(1, n_jokes + 1), len(values)).astype(str),
            "label": (values > request.config.positive_above).ravel().astype(np.int8),
        }
    )
    return answers, RowAccounts()


def _read_people(request: ReadRequest) -> People:
    path = find_file(request.raw_folder, FOLDER, RATINGS, REMEDY)
    matrix = read_numbers(path, REMEDY, delimiter=",")
    matrix.require_range(-10, 10, "rating", none=NOT_RATED, first=1)
    n_rated = (~np.isnan(matrix.values[:, 1:])).sum(axis=1)
    miscounted = np.zeros(matrix.values.shape, bool)
    miscounted[:, 0] = matrix.values[:, 0] != n_rated
    matrix.refuse(miscounted, "first column is not the number of jokes rated")
    matrix.require_rows()
    matrix.values = matrix.values[:, 1:]
    return _cut_people(matrix, request.config.jester, request.seed)


def _cut_people(matrix: NumberMatrix, settings: JesterConfig, seed: int) -> People:
    """Draw who is held back, and the order of everybody's answers."""
    n_people, n_jokes = matrix.values.shape
    drawn = numpy_generator(seed, "jester.people").permutation(n_people)
    complete = np.asarray(~np.isnan(matrix.values).any(axis=1), bool)
    n_complete, wanted = int(complete.sum()), settings.held_back_people
    if wanted > n_complete or wanted >= n_people:
        raise UserError(
            f"{wanted} people shall be held back, but of {n_people} people {n_complete} rated "
            f"all of {n_jokes} jokes, and somebody must be left to train on",
            where=f"ingestion.jester.held_back_people, {matrix.name}",
            remedy="Lower ingestion.jester.held_back_people or bring the complete file.",
        )
    if settings.known_jokes >= n_jokes:
        raise UserError(
            f"{settings.known_jokes} jokes shall be known before a session, there are {n_jokes}",
            where="ingestion.jester.known_jokes",
            remedy="Lower it: the others are what is left to recommend.",
        )
    held_back = drawn[complete[drawn]][:wanted]
    jokes = np.tile(np.arange(n_jokes), (n_people, 1))
    return People(
        matrix=matrix,
        training=drawn[~np.isin(drawn, held_back)],
        held_back=held_back,
        order=numpy_generator(seed, "jester.order").permuted(jokes, axis=1),
    )


def _events(people: People, rows: NDArray[np.int64], n_first: int | None) -> pd.DataFrame:
    """Return the first answers of some people, one second after another from 0."""
    columns = people.order[rows, :n_first].ravel()
    owners = np.repeat(rows, people.order[:, :n_first].shape[1])
    values = people.matrix.values[owners, columns]
    rated = ~np.isnan(values)
    owners, columns, values = owners[rated], columns[rated], values[rated]
    lines = people.matrix.lines[owners]
    return pd.DataFrame(
        {
            "file": people.matrix.name,
            "line": lines,
            "user_id": lines.astype(str),
            "item_id": (columns + 1).astype(str),
            "timestamp": np.arange(len(values), dtype=np.int64),
            "value": values,
        }
    )


def _read_jokes(request: ReadRequest, n_jokes: int) -> tuple[pd.DataFrame, RowAccounts]:
    """Return title and text vector of each joke; texts may hold line breaks inside quotes."""
    path = find_file(request.raw_folder, FOLDER, JOKES, REMEDY)
    read_whole_text(path, REMEDY)
    header = read_header(path, PLAIN_CSV, path.name)
    if header is None or header.names != ("joke_id", "text"):
        shown = "" if header is None else ", ".join(header.names)
        raise UserError(
            f"{path.name} has the columns {shown}, expected joke_id, text",
            where=f"{path.name}, line 1",
            remedy=REMEDY,
        )
    file = read_feature_text(path, {name: name for name in header.names}, request.workspace)
    known = {str(joke) for joke in range(1, n_jokes + 1)}
    file.rows = file.rows.fillna("").assign(joke_id=file.rows["joke_id"].fillna("").str.lstrip("0"))
    out_of_range = f"joke_id is not a whole number from 1 to {n_jokes}"
    file.refuse(~file.rows["joke_id"].isin(known), out_of_range, "joke_id")
    file.refuse(file.rows["text"].str.strip() == "", "text is missing", "text")
    file.refuse(file.rows["joke_id"].duplicated(), "joke_id is repeated", "joke_id")
    if file.rows.empty:
        raise nothing_left(f"{path.name} holds no good row", file.accounts)
    rows = file.rows.iloc[np.argsort(file.rows["joke_id"].astype(int))]
    texts = rows["text"].tolist()
    items = pd.DataFrame(
        {"item_id": rows["joke_id"].tolist(), "title": [_title(text) for text in texts]}
    )
    vectors = text_vectors(texts, request.config.jester.text_vector_size, path.name)
    named = pd.DataFrame(vectors, columns=[f"vector_{k}" for k in range(vectors.shape[1])])
    return pd.concat([items, named], axis=1), file.accounts


def _title(text: str) -> str:
    """Return the start of a text on one line, cut between words."""
    words = " ".join(text.split())
    if len(words) <= TITLE_LENGTH:
        return words
    start = words[:TITLE_LENGTH]
    return f"{start.rsplit(' ', 1)[0] if ' ' in start else start} ..."


def text_vectors(texts: list[str], width: int, name: str) -> NDArray[np.float32]:
    """Return vectors of texts: word weights (TF-IDF) reduced by a truncated SVD.

    Args:
        texts: One text per item.
        width: Largest width; fewer where there are not so many texts or words.
        name: Name of the file, for messages.

    Returns:
        (item, vector) float32. The same for the same texts.

    Raises:
        UserError: No text holds a word.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        weights = TfidfVectorizer(stop_words="english", sublinear_tf=True).fit_transform(texts)
    except ValueError as error:
        raise UserError(f"The texts of {name} hold no word", where=name, remedy=REMEDY) from error
    width = min(width, min(weights.shape) - 1)
    if width < 1:
        return np.zeros((len(texts), 0), np.float32)
    reduced = TruncatedSVD(width, random_state=0).fit_transform(weights)
    return np.asarray(reduced, np.float32)
