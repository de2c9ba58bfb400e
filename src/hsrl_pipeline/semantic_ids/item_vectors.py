"""Item vectors from content, training feedback and given vectors.

Every part is brought to unit rows, so that only directions count, and weighted; the joined rows
are rotated onto their principal axes, cut to the wanted width and scaled to unit length again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.config.sid import ItemVectorConfig
from hsrl_pipeline.data.slate_log import ItemTable, SlateLog
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.seeding import derive_seed
from hsrl_pipeline.semantic_ids.blocks import single_threaded_libraries
from hsrl_pipeline.semantic_ids.item_vectorizer import (
    FloatMatrix,
    ItemVectorizer,
    Standardisation,
    TitleSpace,
    is_zero,
    joined_features,
    require_finite,
    title_grams,
    unit_rows,
    with_intercept,
)
from hsrl_pipeline.semantic_ids.training_counts import TrainingCounts
from hsrl_pipeline.shapes import check_shape

TITLE_SIZE = 32
"""Width of the titles' truncated SVD."""

POWER_ITERATIONS = 4
"""Power iterations of the randomised SVD; more sharpen the last axes."""

RIDGE = 1.0
"""Weight of the squared coefficients when content predicts collaborative vectors."""


class FittedVectors(NamedTuple):
    """Vectors of the items that are known, and the transform for others.

    Attributes:
        vectorizer: What was fitted, for items that come later.
        vectors: (item, embed) float32. Unit rows of known items; row 0 and all others are zero.
    """

    vectorizer: ItemVectorizer
    vectors: NDArray[np.float32]


def build_item_vectors(
    items: ItemTable,
    log: SlateLog,
    config: ItemVectorConfig,
    *,
    seed: int,
    facts: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return one unit vector per item: the vectors of `fit_item_vectors` with all items known."""
    return fit_item_vectors(items, log, config, seed=seed, facts=facts).vectors


def fit_item_vectors(
    items: ItemTable,
    log: SlateLog,
    config: ItemVectorConfig,
    *,
    seed: int,
    facts: NDArray[np.float32] | None = None,
    known: NDArray[np.bool_] | None = None,
) -> FittedVectors:
    """Return one unit vector per known item, and the transform that was fitted on them.

    Items without training events get what their content predicts, never zeros; those without any
    information at all get a direction of their own from the seed.

    Args:
        items: Content features, titles and given vectors.
        log: Logged slates; only the training split is read.
        config: Widths and weights of the parts.
        seed: Seed of the run.
        facts: (item, fact) float32. More columns of content, such as prices; row 0 unused.
        known: (item,) bool. Items that may be learned from; nothing of the others is read, neither
            features nor events. None for all.

    Returns:
        The transform, and (item, embed) float32. ``embed`` is at most ``config.embedding_size``.

    Raises:
        UserError: A feature or given vector is not finite, or no part is left to build from.
    """
    if known is None:
        rows = np.arange(1, items.n_items + 1)
    else:
        check_shape("known", known, items.n_items + 1)
        rows = np.flatnonzero(known[1:]) + 1
    features = joined_features(items, facts)
    with single_threaded_libraries():
        scale = title_space = coefficients = given_scale = None
        known_parts = [np.empty((len(rows), 0))]
        require_finite("content", features, rows)
        if config.content_weight and features.shape[1]:
            scale = Standardisation.fit(features[rows])
            known_parts.append(config.content_weight * unit_rows(scale.apply(features[rows])))
        if config.title_weight and any(items.titles[rows]):
            title_space, places = _fit_titles(items.titles[rows], seed)
            known_parts.append(config.title_weight * unit_rows(places))
        content = np.concatenate(known_parts, axis=1)
        events = TrainingCounts.from_log(log).among(rows, items.n_items)
        parts = [content]
        if config.collaborative_weight and len(events.items):
            coefficients, collaborative = _fit_feedback(events, content, config, seed)
            parts.insert(0, config.collaborative_weight * collaborative)
        if config.given_weight and items.vectors.shape[1]:
            require_finite("given", items.vectors, rows)
            given_scale = Standardisation.fit(items.vectors[rows])
            given = unit_rows(given_scale.apply(items.vectors[rows]))
            parts.append(config.given_weight * given)
        joined = np.concatenate(parts, axis=1)
        if not joined.shape[1]:
            raise UserError(
                "there is nothing to make item vectors from",
                where="sid.vectors",
                remedy="Give content features, titles, vectors or training feedback, with a "
                "weight above 0.",
            )
        centre = joined.mean(axis=0)
        axes = _principal_axes(joined - centre, config.embedding_size)
        placed = (joined - centre) @ axes
    generator = np.random.default_rng(derive_seed(seed, "semantic_ids.unknown_items"))
    zero = is_zero(placed)
    placed[zero] = generator.standard_normal((int(zero.sum()), placed.shape[1]))
    vectors = np.zeros((items.n_items + 1, placed.shape[1]), dtype=np.float32)
    vectors[rows] = unit_rows(placed)
    vectorizer = ItemVectorizer(
        config=config,
        seed=seed,
        content=scale,
        titles=title_space,
        feedback=coefficients,
        given=given_scale,
        centre=centre,
        axes=axes,
    )
    return FittedVectors(vectorizer, vectors)


def _fit_titles(titles: NDArray[np.object_], seed: int) -> tuple[TitleSpace, FloatMatrix]:
    """Return the space of the titles and (row, width) their places in it."""
    from sklearn.feature_extraction.text import TfidfTransformer

    grams = title_grams(titles)
    transformer = TfidfTransformer(sublinear_tf=True)
    weighted = transformer.fit_transform(grams)
    idf = np.asarray(transformer.idf_)
    width = min(TITLE_SIZE, len(titles) - 1)
    if width < 1:
        return TitleSpace(idf, np.empty((len(idf), 0))), np.empty((len(titles), 0))
    left, singular, right = _truncated_svd(
        weighted, width, derive_seed(seed, "semantic_ids.titles")
    )
    return TitleSpace(idf, np.ascontiguousarray(right.T)), np.asarray(left * singular)


def _fit_feedback(
    events: TrainingCounts, content: FloatMatrix, config: ItemVectorConfig, seed: int
) -> tuple[FloatMatrix, FloatMatrix]:
    """Return unit rows of feedback and the coefficients that predict them from content.

    The rows are a degree-normalised SVD, shrunk to content's prediction. The item-user matrix
    holds 1 for a positive and ``exposure_weight`` for a shown item. Dividing by the roots of both
    degrees keeps popular items and heavy users from ruling all axes.

    Returns:
        (1 + content, width) float64 and (row, width) float64.
    """
    from scipy.sparse import csr_matrix, diags

    n_items = len(content)
    weight = np.where(events.positive, 1.0, config.exposure_weight)
    shape = (n_items, int(events.users.max()) + 1)
    matrix = csr_matrix((weight, (events.items - 1, events.users)), shape=shape)
    item_degree = np.asarray(matrix.sum(axis=1)).ravel()
    user_degree = np.asarray(matrix.sum(axis=0)).ravel()
    normalised = (
        diags(1 / np.sqrt(np.maximum(item_degree, 1)))
        @ matrix
        @ diags(1 / np.sqrt(np.maximum(user_degree, 1)))
    )
    width = min(config.collaborative_size, min(shape) - 1)
    if width < 1:
        return np.empty((1 + content.shape[1], 0)), np.empty((n_items, 0))
    left, singular, _ = _truncated_svd(
        normalised, width, derive_seed(seed, "semantic_ids.feedback")
    )
    observed = unit_rows(left * np.sqrt(singular))
    coefficients = _fit_ridge(content, observed, item_degree > 0)
    predicted = unit_rows(with_intercept(content) @ coefficients)
    count = events.per_item(n_items)[1:, None]
    share = count / (count + config.shrinkage) if config.shrinkage else (count > 0)
    return coefficients, unit_rows(share * observed + (1 - share) * predicted)


def _fit_ridge(content: FloatMatrix, observed: FloatMatrix, warm: NDArray[np.bool_]) -> FloatMatrix:
    """Return (1 + content, width) coefficients of ridge regression on warm items."""
    known = with_intercept(content)[warm]
    penalty = RIDGE * np.eye(known.shape[1])
    return np.asarray(np.linalg.solve(known.T @ known + penalty, known.T @ observed[warm]))


def _truncated_svd(
    matrix: object, width: int, seed: int
) -> tuple[FloatMatrix, FloatMatrix, FloatMatrix]:
    """Return singular vectors, left and right, and values between, by a seeded randomised SVD."""
    from sklearn.utils.extmath import randomized_svd

    left, singular, right = randomized_svd(
        matrix, width, n_iter=POWER_ITERATIONS, random_state=seed % 2**32
    )
    return left, singular, right


def _principal_axes(centred: FloatMatrix, width: int) -> FloatMatrix:
    """Return (column, axis) the leading principal axes of centred rows, at most ``width``."""
    values, axes = np.linalg.eigh(centred.T @ centred)
    order = np.argsort(values)[::-1][:width]
    kept = order[values[order] > 1e-9 * max(values.max(), 1e-300)]
    if len(kept) == 0:
        kept = order[:1]
    leading = axes[:, kept]
    largest = np.abs(leading).argmax(axis=0)
    signs = np.where(leading[largest, np.arange(leading.shape[1])] < 0, -1.0, 1.0)
    return np.asarray(leading * signs)
