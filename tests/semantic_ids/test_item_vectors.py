from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsrl_pipeline.config.sid import ItemVectorConfig
from hsrl_pipeline.data.slate_log import ItemTable
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.semantic_ids.item_vectorizer import unit_rows
from hsrl_pipeline.semantic_ids.item_vectors import build_item_vectors, fit_item_vectors
from hsrl_pipeline.semantic_ids.training_counts import TrainingCounts

from .small_log import COLD, N_ITEMS, make_items, make_log, taste_of

CONFIG = ItemVectorConfig(embedding_size=8, collaborative_size=6)


def mean_cosines(vectors: np.ndarray, item: int) -> tuple[float, float]:
    """Return the mean cosine of an item with the others of its taste and with the rest."""
    others = np.setdiff1d(np.arange(1, N_ITEMS + 1), [item])
    cosine = vectors[others] @ vectors[item]
    same = taste_of(others) == taste_of(np.array([item]))[0]
    return float(cosine[same].mean()), float(cosine[~same].mean())


def test_unit_rows_after_a_zero_row() -> None:
    vectors = build_item_vectors(make_items(titles=True, given=5), make_log(), CONFIG, seed=0)
    assert vectors.shape == (N_ITEMS + 1, 8)
    assert vectors.dtype == np.float32
    assert (vectors[0] == 0).all()
    np.testing.assert_allclose(np.linalg.norm(vectors[1:], axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("item", [3, 20, COLD])
def test_items_of_one_taste_lie_together_even_cold_ones(item: int) -> None:
    vectors = build_item_vectors(make_items(), make_log(), CONFIG, seed=0)
    same, other = mean_cosines(vectors, item)
    assert same > other + 0.5


def test_collaborative_vectors_alone_find_the_tastes() -> None:
    config = CONFIG.model_copy(update={"content_weight": 0.0, "title_weight": 0.0})
    vectors = build_item_vectors(make_items(titles=True), make_log(), config, seed=0)
    same, other = mean_cosines(vectors, 5)
    assert same > other + 0.5


def test_test_rows_change_nothing() -> None:
    items = make_items()
    first = build_item_vectors(items, make_log(test_labels=1), CONFIG, seed=0)
    second = build_item_vectors(items, make_log(test_labels=0), CONFIG, seed=0)
    assert (first == second).all()
    counts = TrainingCounts.from_log(make_log())
    assert counts.per_item(N_ITEMS)[COLD] == 0
    assert counts.per_item(N_ITEMS).sum() == len(counts.items) == 80 * 4


def test_a_user_index_beyond_those_of_training_is_no_matter() -> None:
    log = make_log()
    users = log.users.copy()
    users[~log.is_train] = 999
    vectors = build_item_vectors(make_items(), replace(log, users=users), CONFIG, seed=0)
    assert (vectors == build_item_vectors(make_items(), log, CONFIG, seed=0)).all()


def test_same_seed_same_bits() -> None:
    items, log = make_items(titles=True), make_log()
    assert (
        build_item_vectors(items, log, CONFIG, seed=4)
        == build_item_vectors(items, log, CONFIG, seed=4)
    ).all()


def test_given_vectors_alone_are_only_standardised_and_rotated() -> None:
    items = make_items(given=4)
    config = ItemVectorConfig(
        embedding_size=8, collaborative_weight=0, content_weight=0, title_weight=0
    )
    vectors = build_item_vectors(items, make_log(), config, seed=0)
    assert vectors.shape[1] == 4
    given = items.vectors[1:]
    expected = unit_rows((given - given.mean(0)) / given.std(0))
    expected = unit_rows(expected - expected.mean(0))
    np.testing.assert_allclose(vectors[1:] @ vectors[1:].T, expected @ expected.T, atol=1e-4)


def bare_items() -> ItemTable:
    items = make_items()
    return replace(items, content=np.zeros((N_ITEMS + 1, 0), np.float32))


def test_items_without_any_information_get_directions_of_their_own() -> None:
    vectors = build_item_vectors(bare_items(), make_log(), CONFIG, seed=0)
    assert np.linalg.norm(vectors[COLD]) == pytest.approx(1.0)


def test_nothing_to_build_from_is_refused() -> None:
    config = CONFIG.model_copy(update={"collaborative_weight": 0.0})
    with pytest.raises(UserError, match="nothing to make item vectors from"):
        build_item_vectors(bare_items(), make_log(), config, seed=0)


@pytest.mark.parametrize(("table", "field"), [("content", "content"), ("given", "vectors")])
def test_features_that_are_not_finite_are_named(table: str, field: str) -> None:
    items = make_items(given=3)
    broken = getattr(items, field).copy()
    broken[7, 1] = np.nan
    with pytest.raises(UserError, match=f"{table} features of 1 items.*the first is item 7"):
        build_item_vectors(replace(items, **{field: broken}), make_log(), CONFIG, seed=0)


def test_unit_rows_leave_zero_rows_alone() -> None:
    assert unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0.0, 0.0]]


WITHHELD = np.array([2, 15, 23])


def known_items() -> np.ndarray:
    known = np.ones(N_ITEMS + 1, bool)
    known[[0, *WITHHELD]] = False
    return known


def test_withheld_items_change_nothing_whatever_their_rows_hold() -> None:
    items, log = make_items(titles=True, given=3), make_log()
    fitted = fit_item_vectors(items, log, CONFIG, seed=0, known=known_items())
    content, vectors, titles = items.content.copy(), items.vectors.copy(), items.titles.copy()
    content[WITHHELD], vectors[WITHHELD], titles[WITHHELD] = np.nan, 99.0, "Something else"
    withheld = np.isin(log.slates, WITHHELD)
    other = fit_item_vectors(
        replace(items, content=content, vectors=vectors, titles=titles),
        replace(log, labels=np.where(withheld, 1 - log.labels, log.labels)),
        CONFIG,
        seed=0,
        known=known_items(),
    )

    assert (fitted.vectors == other.vectors).all()
    assert not fitted.vectors[WITHHELD].any()
    for name, array in fitted.vectorizer.to_checkpoint()["state"].items():
        assert (array == other.vectorizer.to_checkpoint()["state"][name]).all(), name
    changed = replace(log, labels=1 - log.labels)
    assert (
        fit_item_vectors(items, changed, CONFIG, seed=0, known=known_items()).vectors
        != fitted.vectors
    ).any()


def test_the_vectors_are_those_of_a_catalogue_without_the_withheld_items() -> None:
    known = known_items()
    items, log = make_items(titles=True), make_log()
    alone = replace(
        items,
        **{
            n: getattr(items, n)[known | (np.arange(N_ITEMS + 1) == 0)]
            for n in vars(items)
            if getattr(items, n) is not None
        },
    )
    numbers = np.where(known, known.cumsum(), 0).astype(np.int32)
    masked = replace(log, slates=numbers[log.slates], labels=log.labels * known[log.slates])

    fitted = fit_item_vectors(items, log, CONFIG, seed=0, known=known)
    expected = build_item_vectors(alone, masked, CONFIG, seed=0)
    assert (fitted.vectors[known] == expected[1:]).all()
