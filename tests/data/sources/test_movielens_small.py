import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.errors import UserError


def test_ml100k_tables_hold_every_rating(ingest, ml100k):
    tables = ingest("ml100k", ml100k, slate_size=5)
    assert tables.event_accounts.rows_in == tables.event_accounts.rows_out == 48
    assert tables.accounts.rows_in == 48 + 12 + 4  # ratings, movies, people
    assert len(tables.interactions) == 48
    assert tables.info.n_users == 4
    assert tables.info.n_items == 12
    # 12 ratings make two slates of 5 per user; the earliest 6 of 8 train
    assert (tables.info.n_train_slates, tables.info.n_test_slates) == (6, 2)
    first = tables.interactions[tables.interactions.user_index == 1]
    np.testing.assert_array_equal(first.value, [1 + (1 + item) % 5 for item in range(1, 13)])
    np.testing.assert_array_equal(first.label, (first.value > 3).astype(int))


def test_ml100k_movies_have_latin_titles_release_and_genres(ingest, ml100k):
    items = ingest("ml100k", ml100k, slate_size=5).items.set_index("item_id")
    assert items.loc["2", "title"] == "Les Misérables (1995)"
    assert items.loc["2", "released_at"] == 788_918_400  # 1995-01-01
    # flag 1 + 2 % 3 = 3 of 19 is Animation
    assert items.loc["2", "content_genre_animation"] == 1
    assert items.loc["2", "content_genre_action"] == 0
    assert items.loc["2", "content_decade_1990"] == 1
    assert "content_genre_unknown" not in items.columns


def test_ml100k_users_are_grouped_as_in_ml1m(ingest, ml100k):
    tables = ingest("ml100k", ml100k, slate_size=5)
    users = tables.users.set_index("user_id")
    assert tables.category_values["age"] == ["1", "18", "50", "56"]
    ages = [tables.category_values["age"][code - 1] for code in users["category_age"]]
    assert ages == ["18", "50", "1", "56"]  # of ages 24, 53, 17, 56
    assert tables.category_values["zip_area"] == ["3", "8", "9", "T"]
    assert {field.name for field in tables.info.category_fields} == {
        "gender",
        "age",
        "occupation",
        "zip_area",
    }


def test_ml100k_reads_the_official_zip(ingest, ml100k, tmp_path):
    (tmp_path / "raw").mkdir()
    with zipfile.ZipFile(tmp_path / "raw" / "ml-100k.zip", "w") as archive:
        for name, content in ml100k.items():
            archive.writestr(name, content)
    assert len(ingest("ml100k", {}, slate_size=5).interactions) == 48


def test_ml100k_tolerates_blank_lines_and_counts_missing_features(ingest, ml100k):
    ml100k["ml-100k/u.user"] = b"1|24|M|technician|85711\n2||F|other|94043\n\n"
    ml100k["ml-100k/u.item"] = ml100k["ml-100k/u.item"].replace(b"01-Jan-1995", b"", 1)
    tables = ingest("ml100k", ml100k, slate_size=5)
    assert tables.users.set_index("user_id").loc["2", "category_age"] == 0
    assert tables.users.set_index("user_id").loc["3", "category_gender"] == 0
    assert tables.accounts.notes["movies without a release date"] == 1
    assert pd.isna(tables.items.set_index("item_id").loc["1", "released_at"])


def test_latest_small_keeps_half_stars_and_has_no_user_features(ingest, ml_latest_small):
    tables = ingest("ml_latest_small", ml_latest_small, slate_size=5)
    assert tables.event_accounts.rows_out == 48
    assert set(tables.interactions.value) <= {0.5 * k for k in range(1, 11)}
    half = tables.interactions[tables.interactions.value == 3.5]
    assert (half.label == 1).all()
    assert (tables.interactions[tables.interactions.value == 3.0].label == 0).all()
    assert list(tables.users.columns) == ["user_index", "user_id"]
    assert tables.info.category_fields == tables.info.dense_fields == ()


def test_latest_small_reads_quoted_titles(ingest, ml_latest_small):
    items = ingest("ml_latest_small", ml_latest_small, slate_size=5).items.set_index("item_id")
    assert items.loc["1", "title"] == "American President, The (1995)"
    assert items.loc["1", "content_genre_romance"] == 1
    genres = [name for name in items.columns if name.startswith("content_genre")]
    assert (items.loc["2", genres] == 0).all()


@pytest.mark.parametrize("source", ["ml100k", "ml_latest_small"])
def test_a_missing_archive_says_what_to_do(ingest, source, tmp_path: Path):
    with pytest.raises(UserError, match=f"make data DATASET={source}"):
        ingest(source, {})
