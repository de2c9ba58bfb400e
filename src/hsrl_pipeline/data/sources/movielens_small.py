"""MovieLens-100K and MovieLens-latest-small as they are downloaded.

F. M. Harper and J. A. Konstan: The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015.
"""

from __future__ import annotations

import ibis
import numpy as np
import pandas as pd

from hsrl_pipeline.data.engines.text_landing import TextForm
from hsrl_pipeline.data.sources.feature_files import FeatureFile, read_feature_text
from hsrl_pipeline.data.sources.movielens import content_features
from hsrl_pipeline.data.sources.raw_files import RawArchive
from hsrl_pipeline.data.sources.source_log import (
    EventRules,
    ReadRequest,
    SlateRule,
    SourceLog,
    SplitRule,
)

RATING_FIELDS = ("user_id", "item_id", "rating", "timestamp")
MOVIE_FIELDS = ("item_id", "title", "release_date", "video_release_date", "imdb_url")
GENRES = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
USER_FIELDS = ("user_id", "age", "gender", "occupation", "zip")
AGE_BOUNDS = (18, 25, 35, 45, 50, 56)
"""First years of the age groups after the youngest, as MovieLens-1M groups its users."""

WHOLE_STARS = r"^[0-9]+(\.0*)?$"
HALF_STARS = r"^[0-9]+(\.([05]0*)?)?$"
DECIMAL = r"^[0-9]+\.[0-9]*$"


def read_ml100k(request: ReadRequest) -> SourceLog:
    """Return MovieLens-100K: whole stars, above 3 positive, users come with demographics.

    Raises:
        UserError: The raw data is missing, damaged or incomplete.
    """
    archive = RawArchive(request.raw_folder, "ml-100k", "ml100k")
    ratings = archive.extract("u.data", request.workspace)
    movies = read_feature_text(
        archive.extract("u.item", request.workspace),
        {name: name for name in ("item_id", "title", "release_date", *GENRES)},
        request.workspace,
        form=TextForm("|", "latin-1", quoted=False),
        names=(*MOVIE_FIELDS, *GENRES),
    )
    people = read_feature_text(
        archive.extract("u.user", request.workspace),
        {name: name for name in USER_FIELDS},
        request.workspace,
        form=TextForm("|", "latin-1", quoted=False),
        names=USER_FIELDS,
    )
    items, users = describe_movies(movies), describe_users(people)
    return SourceLog(
        draft_events=lambda engine: draft_stars(
            engine.scan_csv(
                ratings,
                {
                    "user_id": "user_id",
                    "item_id": "item_id",
                    "value": "rating",
                    "timestamp": "timestamp",
                },
                form=TextForm("\t", quoted=False),
                names=RATING_FIELDS,
            ),
            WHOLE_STARS,
            "rating is not a whole number of stars",
        ),
        items=items,
        users=users,
        slates=SlateRule(size=request.config.slate_size),
        split=SplitRule("time_share", train_share=request.config.train_share),
        rules=_rules(request, low=1.0),
        column_names={"value": "rating"},
        accounts=movies.accounts.merged(people.accounts),
    )


def read_ml_latest_small(request: ReadRequest) -> SourceLog:
    """Return MovieLens-latest-small: half stars, above 3 positive, nothing known of users.

    Raises:
        UserError: The raw data is missing, damaged or incomplete.
    """
    archive = RawArchive(request.raw_folder, "ml-latest-small", "ml_latest_small")
    ratings = archive.extract("ratings.csv", request.workspace)
    movies = read_feature_text(
        archive.extract("movies.csv", request.workspace),
        {"item_id": "movieId", "title": "title", "genres": "genres"},
        request.workspace,
    )
    movies.check_ids("item_id", numeric=True)
    titles = _texts(movies, "title")
    content = content_features(titles, [names.split("|") for names in _texts(movies, "genres")])
    items = pd.DataFrame({"item_id": _texts(movies, "item_id"), "title": titles})
    return SourceLog(
        draft_events=lambda engine: draft_stars(
            engine.scan_csv(
                ratings,
                {
                    "user_id": "userId",
                    "item_id": "movieId",
                    "value": "rating",
                    "timestamp": "timestamp",
                },
            ),
            HALF_STARS,
            "rating is not a number of half stars",
        ),
        items=pd.concat([items, content], axis=1),
        users=None,
        slates=SlateRule(size=request.config.slate_size),
        split=SplitRule("time_share", train_share=request.config.train_share),
        rules=_rules(request, low=0.5),
        column_names={"user_id": "userId", "item_id": "movieId", "value": "rating"},
        accounts=movies.accounts,
    )


def draft_stars(ratings: ibis.Table, pattern: str, reason: str) -> ibis.Table:
    """Mark ratings that are numbers but not on the scale as bad rows.

    Args:
        ratings: Rows as `Engine.scan_csv` returns them, with the rating as ``value``.
        pattern: What a rating of the scale looks like.
        reason: The defect of the others, in a few words.
    """
    text = ratings.value.strip()
    between = (text.re_search(DECIMAL) & ~text.re_search(pattern)).fill_null(False)
    wrong = ratings.reason.isnull() & between
    return ratings.mutate(
        reason=ibis.ifelse(wrong, reason, ratings.reason),
        reason_column=ibis.ifelse(wrong, "value", ibis.null("string")),
        raw=ibis.ifelse(wrong, ratings.value, ratings.raw),
    )


def describe_movies(movies: FeatureFile) -> pd.DataFrame:
    """Return title, release and genres of each movie of ``u.item``."""
    movies.check_ids("item_id", numeric=True)
    for genre in GENRES:
        movies.check_number(genre, low=0, high=1)
    titles = _texts(movies, "title")
    flags = movies.rows[list(GENRES[1:])].to_numpy(np.float64) > 0
    genres = [[GENRES[1 + place] for place in np.flatnonzero(row)] for row in flags]
    released = pd.to_datetime(
        movies.rows["release_date"], format="%d-%b-%Y", errors="coerce", utc=True
    )
    movies.note("movies without a release date", int(released.isna().sum()))
    epoch = pd.Timestamp("1970-01-01", tz="UTC")
    items = pd.DataFrame(
        {
            "item_id": _texts(movies, "item_id"),
            "title": titles,
            "released_at": ((released - epoch) // pd.Timedelta(seconds=1))
            .astype("Int64")
            .reset_index(drop=True),
        }
    )
    return pd.concat([items, content_features(titles, genres)], axis=1)


def describe_users(people: FeatureFile) -> pd.DataFrame:
    """Return the demographics of each user of ``u.user``; ages grouped as in MovieLens-1M."""
    people.check_ids("user_id", numeric=True)
    people.check_number("age", low=0, high=130)
    age = people.rows["age"].to_numpy(np.float64)
    starts = np.array([1, *AGE_BOUNDS])
    groups = starts[np.searchsorted(np.array(AGE_BOUNDS), np.nan_to_num(age), side="right")]
    rows = people.rows.reset_index(drop=True)
    return pd.DataFrame(
        {
            "user_id": rows["user_id"].astype(str),
            "category_gender": rows["gender"],
            "category_age": pd.Series(groups).where(~np.isnan(age)).astype("Int64"),
            "category_occupation": rows["occupation"],
            "category_zip_area": rows["zip"].str[:1],
        }
    )


def _rules(request: ReadRequest, low: float) -> EventRules:
    return EventRules(
        positive_above=request.config.positive_above,
        value_range=(low, 5),
        value_name="rating",
        numeric_ids=True,
    )


def _texts(movies: FeatureFile, column: str) -> list[str]:
    return [text or "" for text in movies.rows[column]]
