from dataclasses import replace

import numpy as np
import pytest

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.simulator.response.item_features import (
    TASTE_SHRINKAGE,
    TASTE_SPREAD,
    build_item_features,
    count_items,
    taste_vectors,
)

from .response_world import COLD_ITEM, N_ITEMS, genre, make_items, make_log


def test_items_are_counted():
    log = make_log(n_users=4, slates_each=2)
    counts = count_items(log, N_ITEMS)
    assert counts.exposures.sum() == log.slates.size
    assert counts.clicks.sum() == log.labels.sum()
    assert counts.exposures[7] == (log.slates == 7).sum()
    assert counts.clicks[7] == log.labels[log.slates == 7].sum()


def build(**options):
    return build_item_features(
        **{"items": make_items(), "log": make_log().train, "taste_size": 4, "seed": 0} | options
    )


def test_content_and_statistics_are_kept_apart():
    features = build()
    assert features.content.dtype == features.statistics.dtype == np.float32
    assert features.statistics.shape == (N_ITEMS + 1, 2 + 4)
    assert (features.content == make_items().content).all()
    assert (features.statistics[0] == 0).all()
    assert features.counts.exposures.sum() == make_log().train.slates.size


def test_an_item_without_rows_has_no_statistics():
    features = build()
    assert (features.statistics[COLD_ITEM] == 0).all()
    assert (features.statistics[1:COLD_ITEM] != 0).all()


def test_popularity_is_standardised_over_shown_items():
    features = build(taste_size=0)
    popularity = features.statistics[features.counts.exposures > 0, 0]
    assert popularity.mean() == pytest.approx(0.0, abs=1e-6)
    assert popularity.std() == pytest.approx(1.0, abs=1e-5)


def test_tastes_separate_what_different_users_like():
    log = make_log().train
    vectors = taste_vectors(log, count_items(log, N_ITEMS), N_ITEMS + 1, 2, seed=0)
    shown = np.arange(1, N_ITEMS)
    alike = vectors[shown] @ vectors[shown].T
    same = genre(shown)[:, None] == genre(shown)[None]
    np.fill_diagonal(same, False)
    assert alike[same].mean() > 0.3
    assert alike[genre(shown)[:, None] != genre(shown)[None]].mean() < -0.3


def test_taste_length_grows_with_exposures():
    log = make_log().train
    counts = count_items(log, N_ITEMS)
    vectors = taste_vectors(log, counts, N_ITEMS + 1, 4, seed=0)
    trust = counts.exposures / (counts.exposures + TASTE_SHRINKAGE)
    expected = trust * TASTE_SPREAD**2 * 4
    assert (vectors**2).sum(axis=1)[1:N_ITEMS] == pytest.approx(expected[1:N_ITEMS])


def test_the_same_seed_gives_the_same_features():
    assert build(seed=5).statistics.tobytes() == build(seed=5).statistics.tobytes()


def test_a_log_of_one_user_has_no_tastes():
    assert build(log=make_log(n_users=1, slates_each=3)).statistics.shape[1] == 2


def test_wide_columns_are_standardised_and_flags_are_not():
    years = np.zeros((N_ITEMS + 1, 1), np.float32)
    years[1:, 0] = np.linspace(1950, 2000, N_ITEMS)
    content = build(items=replace(make_items(), vectors=years)).content
    assert set(np.unique(content[:, 0])) == {0.0, 1.0}
    assert content[1:, 2].mean() == pytest.approx(0.0, abs=1e-5)
    assert content[1:, 2].std() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_name_the_item(value):
    items = make_items()
    items.content[6, 1] = value
    with pytest.raises(UserError, match="feature 1 of item 6"):
        build(items=items)
