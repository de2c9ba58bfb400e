"""Vectors of new items by the frozen transform."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hsrl_pipeline.checkpoint import read_checkpoint, write_checkpoint
from hsrl_pipeline.config.sid import ItemVectorConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.semantic_ids.item_vectorizer import ItemVectorizer, Standardisation
from hsrl_pipeline.semantic_ids.item_vectors import FittedVectors, fit_item_vectors

from .small_log import COLD, N_ITEMS, make_items, make_log, taste_of

CONFIG = ItemVectorConfig(embedding_size=8, collaborative_size=6)
ALL = np.arange(1, N_ITEMS + 1)


def fit(*, titles: bool = True, given: int = 3, known: np.ndarray | None = None) -> FittedVectors:
    items = make_items(titles=titles, given=given)
    return fit_item_vectors(items, make_log(), CONFIG, seed=0, known=known)


def test_columns_become_mean_0_and_deviation_1_and_constant_ones_0() -> None:
    fitted = Standardisation.fit(np.array([[1, 5], [3, 5]], np.float32))
    assert fitted.apply(np.array([[1, 5], [5, 7]], np.float32)).tolist() == [[-1, 0], [3, 2]]


@pytest.mark.parametrize(("titles", "near"), [(False, 1e-6), (True, 1e-3)])
def test_an_item_without_feedback_is_placed_where_the_fit_placed_it(
    titles: bool, near: float
) -> None:
    fitted = fit(titles=titles)
    moved = fitted.vectorizer.transform(make_items(titles=titles, given=3), np.array([COLD]))

    np.testing.assert_allclose(moved[0], fitted.vectors[COLD], atol=near)
    assert moved.dtype == np.float32


def test_a_withheld_item_lies_with_its_taste_by_content_alone() -> None:
    known = np.arange(N_ITEMS + 1) > 0
    known[[5, 20]] = False
    fitted = fit(titles=False, given=0, known=known)
    placed = fitted.vectorizer.transform(make_items(), np.array([5, 20]))

    for vector, item in zip(placed, (5, 20), strict=True):
        cosine = fitted.vectors[known] @ vector
        same = taste_of(np.flatnonzero(known)) == taste_of(np.array(item))
        assert cosine[same].mean() > cosine[~same].mean() + 0.5


def test_a_vector_depends_on_no_other_item_of_the_call() -> None:
    vectorizer, items = fit().vectorizer, make_items(titles=True, given=3)
    together = vectorizer.transform(items, ALL)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, rtol=1e-5)
    for item in (1, 7, COLD):
        alone = vectorizer.transform(items, np.array([item]))[0]
        np.testing.assert_allclose(alone, together[item - 1], atol=1e-6)


def test_no_items_have_no_vectors() -> None:
    made = fit().vectorizer.transform(make_items(titles=True, given=3), ALL[:0])
    assert (made.shape, made.dtype) == ((0, 8), np.float32)


def test_a_file_gives_the_same_bits(tmp_path: Path) -> None:
    vectorizer, items = fit().vectorizer, make_items(titles=True, given=3)
    write_checkpoint(tmp_path / "vectorizer.safetensors", vectorizer.to_checkpoint())
    read = ItemVectorizer.from_checkpoint(read_checkpoint(tmp_path / "vectorizer.safetensors"))

    assert (read.transform(items, ALL) == vectorizer.transform(items, ALL)).all()


def test_parts_that_were_not_fitted_are_not_asked_for() -> None:
    bare = fit_item_vectors(
        make_items(),
        make_log(),
        CONFIG.model_copy(update={"collaborative_weight": 0.0, "title_weight": 0.0}),
        seed=0,
    ).vectorizer
    read = ItemVectorizer.from_checkpoint(bare.to_checkpoint())
    assert (read.titles, read.feedback, read.given) == (None, None, None)
    assert read.transform(make_items(), ALL).shape == (N_ITEMS, 3)


def test_items_without_any_information_get_directions_of_their_own() -> None:
    vectorizer = fit(titles=True, given=0).vectorizer
    nothing = replace(
        vectorizer, centre=np.zeros_like(vectorizer.centre), axes=np.zeros_like(vectorizer.axes)
    )
    placed = nothing.transform(make_items(titles=True), np.array([3, 4]))
    np.testing.assert_allclose(np.linalg.norm(placed, axis=1), 1.0, rtol=1e-5)
    assert (placed[0] != placed[1]).any()
    assert (nothing.transform(make_items(titles=True), np.array([4]))[0] == placed[1]).all()


def test_features_that_do_not_fit_are_refused() -> None:
    vectorizer, items = fit().vectorizer, make_items(titles=True, given=3)
    narrow = replace(items, content=items.content[:, :2])
    with pytest.raises(UserError, match=r"Items have 2 content columns.*fitted with 3"):
        vectorizer.transform(narrow, ALL)
    with pytest.raises(UserError, match=r"Items have 0 given columns.*fitted with 3"):
        vectorizer.transform(make_items(titles=True), ALL)
    content = items.content.copy()
    content[7, 1] = np.inf
    broken = replace(items, content=content)
    with pytest.raises(UserError, match=r"content features of 1 items.*the first is item 7"):
        vectorizer.transform(broken, ALL)
    assert vectorizer.transform(broken, np.array([6, 8])).shape == (2, 8)
