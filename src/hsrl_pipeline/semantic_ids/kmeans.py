"""Seeded k-means: scikit-learn's k-means++ starts, then full Lloyd passes on large data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsrl_pipeline.seeding import derive_seed
from hsrl_pipeline.semantic_ids.blocks import map_row_ranges, single_threaded_libraries
from hsrl_pipeline.semantic_ids.nearest import (
    FloatArray,
    LevelCentroids,
    assign_level,
    sum_clusters,
)

DISTINCT_SAMPLE_ROWS = 16_384
"""Rows looked at first when distinct rows are counted; usually they settle the question."""

MINIBATCH_ROWS = 65_536
"""Rows of the mini-batch that large data starts from, if that gives each cluster enough rows."""

BATCH_ROWS_PER_CLUSTER = 128
"""Rows of the mini-batch per cluster, at least."""

SEEDING_ROWS = 16_384
"""Rows of the mini-batch that k-means++ chooses from."""

OVERRELAXATION = 1.8
"""Length of a centroid's step relative to the way to its cell's mean; below 2."""

BATCH_PASSES = 12
"""Largest number of Lloyd passes over the mini-batch."""

SPLIT_SCALE = 1e-3
"""Length, relative to the data's root mean square, by which a split centroid is moved."""


@dataclass(frozen=True)
class KMeansSettings:
    """How one level is clustered.

    Attributes:
        n_restarts: k-means++ starts; the one with the smallest squared error counts.
        max_iterations: Largest number of Lloyd iterations per start.
        minibatch_above: Rows above which the starts use mini-batches.
        refinement_passes: Lloyd passes over all rows after a mini-batch start.
        n_threads: Threads of the passes; ``None`` for all. The result does not depend on it.
    """

    n_restarts: int = 2
    max_iterations: int = 50
    minibatch_above: int = 100_000
    refinement_passes: int = 8
    n_threads: int | None = None


def fit_centroids(
    vectors: FloatArray, n_clusters: int, settings: KMeansSettings, *, seed: int
) -> FloatArray:
    """Cluster rows by k-means (paper, Eq. 28).

    With fewer distinct rows than clusters each distinct row becomes a centroid, and the missing
    ones are split off from these, so that there are always ``n_clusters`` centroids.

    Args:
        vectors: (row, embed) float32.
        n_clusters: Number of centroids, at least 1.
        settings: Restarts and passes.
        seed: Seed of the starts.

    Returns:
        (n_clusters, embed) float32.
    """
    distinct = distinct_rows(vectors, n_clusters)
    if len(distinct) < n_clusters:
        return _split(distinct, n_clusters, vectors, seed)
    if len(vectors) > settings.minibatch_above:
        return _fit_large(vectors, n_clusters, settings, seed)
    from sklearn.cluster import KMeans

    model = KMeans(
        n_clusters=n_clusters,
        n_init=settings.n_restarts,
        max_iter=settings.max_iterations,
        random_state=derive_seed(seed, "kmeans.start") % 2**32,
    )
    with single_threaded_libraries():
        model.fit(vectors.astype(np.float64))  # k-means++ converts float32 at every step
    return np.asarray(model.cluster_centers_, dtype=np.float32)


def distinct_rows(vectors: FloatArray, enough: int) -> FloatArray:
    """Return distinct rows in sorted order; all of them if there are fewer than ``enough``.

    Args:
        vectors: (row, embed) float32.
        enough: The search ends as soon as this many are known.
    """
    distinct = np.unique(vectors[:DISTINCT_SAMPLE_ROWS], axis=0)
    if len(distinct) < enough and len(vectors) > DISTINCT_SAMPLE_ROWS:
        distinct = np.unique(vectors, axis=0)
    return distinct


def _fit_large(
    vectors: FloatArray, n_clusters: int, settings: KMeansSettings, seed: int
) -> FloatArray:
    """Start on a mini-batch, then pass over all rows."""
    centroids = _best_start(_draw_batch(vectors, n_clusters, seed), n_clusters, settings, seed)
    return _lloyd_passes(vectors, centroids, settings.refinement_passes, settings.n_threads)


def _draw_batch(vectors: FloatArray, n_clusters: int, seed: int) -> FloatArray:
    """Return a random sample of rows, the mini-batch."""
    generator = np.random.default_rng(derive_seed(seed, "kmeans.batch"))
    n_sampled = min(max(MINIBATCH_ROWS, BATCH_ROWS_PER_CLUSTER * n_clusters), len(vectors))
    return vectors[np.sort(generator.choice(len(vectors), n_sampled, replace=False))]


def _best_start(
    batch: FloatArray, n_clusters: int, settings: KMeansSettings, seed: int
) -> FloatArray:
    """Return the centroids of the best k-means++ start on a mini-batch."""
    from sklearn.cluster import kmeans_plusplus

    seeding = batch[: max(SEEDING_ROWS, 4 * n_clusters)]
    best: FloatArray | None = None
    least = np.inf
    for start in range(settings.n_restarts):
        with single_threaded_libraries():
            chosen, _ = kmeans_plusplus(
                seeding, n_clusters, random_state=derive_seed(seed, f"kmeans.{start}") % 2**32
            )
        passes = min(settings.max_iterations, BATCH_PASSES)
        centroids = _lloyd_passes(batch, chosen, passes, settings.n_threads)
        error = float(_own_distances(batch, centroids, settings.n_threads).sum(dtype=np.float64))
        if best is None or error < least:
            best, least = centroids, error
    assert best is not None
    return best


def _lloyd_passes(
    vectors: FloatArray, centroids: FloatArray, n_passes: int, n_threads: int | None
) -> FloatArray:
    """Move centroids to the means of their cells; empty ones restart at rows far from theirs.

    All passes but the last go past the mean. For a fixed assignment the error still falls as long
    as the step is less than twice as long, and fewer passes are needed.
    """
    moved = centroids.astype(np.float32)
    for remaining in range(n_passes, 0, -1):
        step = OVERRELAXATION if remaining > 1 else 1.0
        clusters = sum_clusters(vectors, moved, n_threads)
        filled = clusters.counts > 0
        if not filled.all():
            farthest = np.argsort(-_own_distances(vectors, moved, n_threads), kind="stable")
            moved[~filled] = vectors[farthest[: int((~filled).sum())]]
        means = clusters.sums[filled] / clusters.counts[filled, None]
        moved[filled] += step * (means - moved[filled])
    return moved


def _own_distances(vectors: FloatArray, centroids: FloatArray, n_threads: int | None) -> FloatArray:
    """Return (row,) float32 squared distances to the nearest centroid."""
    codes = assign_level(vectors, LevelCentroids.plain(centroids), None, n_threads)

    def task(first: int, end: int) -> FloatArray:
        difference = vectors[first:end] - centroids[codes[first:end]]
        return np.asarray(np.einsum("re,re->r", difference, difference))

    return np.concatenate(map_row_ranges(task, len(vectors), n_threads))


def _split(distinct: FloatArray, n_clusters: int, vectors: FloatArray, seed: int) -> FloatArray:
    """Return all distinct rows, followed by slightly moved copies of them."""
    generator = np.random.default_rng(derive_seed(seed, "kmeans.split"))
    scale = SPLIT_SCALE * max(float(np.sqrt(np.mean(np.square(vectors)))), 1e-6)
    missing = n_clusters - len(distinct)
    parents = distinct[np.arange(missing) % len(distinct)]
    moved = parents + scale * generator.standard_normal(parents.shape)
    return np.concatenate([distinct, moved.astype(np.float32)])
