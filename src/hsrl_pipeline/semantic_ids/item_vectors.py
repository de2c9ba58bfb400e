"""Item vectors from content, training feedback and given vectors.

Every part is brought to unit rows, so that only directions count, and weighted; the joined rows
are rotated onto their principal axes, cut to the wanted width and scaled to unit length again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.config.sid import ItemVectorConfig
from hsrl_pipeline.data.slate_log import ItemTable, SlateLog
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.seeding import derive_seed
from hsrl_pipeline.semantic_ids.blocks import single_threaded_libraries

TITLE_BUCKETS = 2**13
"""Hash buckets of the titles' character n-grams."""

TITLE_SIZE = 32
"""Width of the titles' truncated SVD."""

POWER_ITERATIONS = 4
"""Power iterations of the randomised SVD; more sharpen the last axes."""

RIDGE = 1.0
"""Weight of the squared coefficients when content predicts collaborative vectors."""

FloatMatrix = NDArray[np.float64]


@dataclass(frozen=True)
class TrainingCounts:
    """Feedback of the training split alone.

    Attributes:
        users: (event,) int64. User index of each shown item.
        items: (event,) int64. Item index of each shown item, padding left out.
        positive: (event,) bool. Whether the response was positive.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    positive: NDArray[np.bool_]

    @classmethod
    def from_log(cls, log: SlateLog) -> TrainingCounts:
        """Return the events of the training slates; test slates are never looked at."""
        train = log.train
        items = train.slates.ravel().astype(np.int64)
        users = np.repeat(train.users.astype(np.int64), train.slate_size)
        real = items > 0
        return cls(users[real], items[real], train.labels.ravel()[real] > 0)

    def per_item(self, n_items: int) -> NDArray[np.int64]:
        """Return (item,) int64 events of each item, row 0 for padding."""
        return np.bincount(self.items, minlength=n_items + 1)


def build_item_vectors(
    items: ItemTable,
    log: SlateLog,
    config: ItemVectorConfig,
    *,
    seed: int,
    facts: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return one unit vector per item.

    Items without training events get what their content predicts, never zeros; those without any
    information at all get a direction of their own from the seed.

    Args:
        items: Content features, titles and given vectors.
        log: Logged slates; only the training split is read.
        config: Widths and weights of the parts.
        seed: Seed of the run.
        facts: (item, fact) float32. More columns of content, such as prices; row 0 unused.

    Returns:
        (item, embed) float32. Unit rows; row 0 is zero. ``embed`` is at most
        ``config.embedding_size``.

    Raises:
        UserError: A feature or given vector is not finite, or no part is left to build from.
    """
    with single_threaded_libraries():
        features = items.content if facts is None else np.hstack([items.content, facts])
        content = _content_part(features, items.titles, config, seed)
        events = TrainingCounts.from_log(log)
        parts = []
        if config.collaborative_weight and len(events.items):
            collaborative = _collaborative_part(events, content, items.n_items, config, seed)
            parts.append(config.collaborative_weight * collaborative)
        if content.shape[1]:
            parts.append(content)
        if config.given_weight and items.vectors.shape[1]:
            parts.append(config.given_weight * _given_part(items))
        parts = [part for part in parts if part.shape[1]]
        if not parts:
            raise UserError(
                "there is nothing to make item vectors from",
                where="sid.vectors",
                remedy="Give content features, titles, vectors or training feedback, with a "
                "weight above 0.",
            )
        joined = np.concatenate(parts, axis=1)
        vectors = _principal_axes(joined, config.embedding_size)
    generator = np.random.default_rng(derive_seed(seed, "semantic_ids.unknown_items"))
    return _unit_with_padding(vectors, generator)


def _content_part(
    features: NDArray[np.float32],
    titles: NDArray[np.object_],
    config: ItemVectorConfig,
    seed: int,
) -> FloatMatrix:
    """Return (real_item, width) weighted content and title features; width 0 without any."""
    parts = [np.empty((len(features) - 1, 0))]
    _require_finite("content", features[1:])
    if config.content_weight and features.shape[1]:
        parts.append(config.content_weight * unit_rows(_standardise(features[1:])))
    if config.title_weight and any(titles[1:]):
        parts.append(config.title_weight * unit_rows(_embed_titles(titles[1:], seed)))
    return np.concatenate(parts, axis=1)


def _collaborative_part(
    events: TrainingCounts,
    content: FloatMatrix,
    n_items: int,
    config: ItemVectorConfig,
    seed: int,
) -> FloatMatrix:
    """Return (real_item, width) unit rows: degree-normalised SVD, shrunk to content's prediction.

    The item-user matrix holds 1 for a positive and ``exposure_weight`` for a shown item. Dividing
    by the roots of both degrees keeps popular items and heavy users from ruling all axes.
    """
    from scipy.sparse import csr_matrix, diags

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
        return np.empty((n_items, 0))
    left, singular = _truncated_svd(normalised, width, derive_seed(seed, "semantic_ids.feedback"))
    observed = unit_rows(left * np.sqrt(singular))
    warm = item_degree > 0
    predicted = _predict_from_content(content, observed, warm)
    count = events.per_item(n_items)[1:, None]
    share = count / (count + config.shrinkage) if config.shrinkage else (count > 0)
    return unit_rows(share * observed + (1 - share) * predicted)


def _predict_from_content(
    content: FloatMatrix, observed: FloatMatrix, warm: NDArray[np.bool_]
) -> FloatMatrix:
    """Return (real_item, width) unit rows: what ridge regression on warm items predicts."""
    design = np.concatenate([np.ones((len(content), 1)), content], axis=1)
    known = design[warm]
    penalty = RIDGE * np.eye(design.shape[1])
    coefficients = np.linalg.solve(known.T @ known + penalty, known.T @ observed[warm])
    return unit_rows(design @ coefficients)


def _given_part(items: ItemTable) -> FloatMatrix:
    _require_finite("given", items.vectors[1:])
    return unit_rows(_standardise(items.vectors[1:]))


def _embed_titles(titles: NDArray[np.object_], seed: int) -> FloatMatrix:
    """Return (real_item, width) truncated SVD of TF-IDF weighted character n-grams."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    grams = HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 4), n_features=TITLE_BUCKETS, alternate_sign=False
    ).transform([str(title) for title in titles])
    weighted = TfidfTransformer(sublinear_tf=True).fit_transform(grams)
    width = min(TITLE_SIZE, len(titles) - 1)
    if width < 1:
        return np.empty((len(titles), 0))
    left, singular = _truncated_svd(weighted, width, derive_seed(seed, "semantic_ids.titles"))
    return np.asarray(left * singular)


def _truncated_svd(matrix: object, width: int, seed: int) -> tuple[FloatMatrix, FloatMatrix]:
    """Return left singular vectors and singular values by a seeded randomised SVD."""
    from sklearn.utils.extmath import randomized_svd

    left, singular, _ = randomized_svd(
        matrix, width, n_iter=POWER_ITERATIONS, random_state=seed % 2**32
    )
    return left, singular


def _standardise(features: NDArray[np.float32]) -> FloatMatrix:
    """Return columns with mean 0 and standard deviation 1; constant columns become 0."""
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    spread = centred.std(axis=0)
    return np.asarray(centred / np.where(spread > 1e-9, spread, 1.0))


def _principal_axes(joined: FloatMatrix, width: int) -> FloatMatrix:
    """Return centred rows on their leading principal axes, at most ``width`` of them."""
    centred = joined - joined.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    order = np.argsort(values)[::-1][:width]
    kept = order[values[order] > 1e-9 * max(values.max(), 1e-300)]
    if len(kept) == 0:
        kept = order[:1]
    leading = axes[:, kept]
    largest = np.abs(leading).argmax(axis=0)
    signs = np.where(leading[largest, np.arange(leading.shape[1])] < 0, -1.0, 1.0)
    return np.asarray(centred @ (leading * signs))


def unit_rows(rows: FloatMatrix) -> FloatMatrix:
    """Return rows of length 1; rows that are zero stay zero."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 1e-12, length, 1.0))


def _unit_with_padding(vectors: FloatMatrix, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return unit rows after a zero row; rows without any information get random directions."""
    zero = np.linalg.norm(vectors, axis=1) <= 1e-9
    drawn = generator.standard_normal((int(zero.sum()), vectors.shape[1]))
    filled = vectors.copy()
    filled[zero] = drawn
    padded = np.zeros((len(vectors) + 1, vectors.shape[1]), dtype=np.float32)
    padded[1:] = unit_rows(filled)
    return padded


def _require_finite(name: str, features: NDArray[np.float32]) -> None:
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        item = int(np.flatnonzero(~finite)[0]) + 1
        raise UserError(
            f"{name} features of {int((~finite).sum())} items hold NaN or infinity, "
            f"the first is item {item}",
            where=f"items table, item_index {item}",
            remedy="Fill or drop these values in the items table.",
        )
