"""Seeded k-means: scikit-learn's k-means++ starts, then full Lloyd passes on large data."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from hsrl_pipeline.seeding import derive_seed
from hsrl_pipeline.semantic_ids.blocks import single_threaded_libraries
from hsrl_pipeline.semantic_ids.nearest import FloatArray, sum_clusters

DISTINCT_SAMPLE_ROWS = 65_536
"""Rows looked at first when distinct rows are counted; usually they settle the question."""

MINIBATCH_ROWS = 16_384
"""Rows per mini-batch step."""

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

    n_restarts: int = 4
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
        model.fit(vectors)
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
    """Start from mini-batches, then pass over all rows; empty clusters restart at far rows."""
    from sklearn.cluster import MiniBatchKMeans

    model = MiniBatchKMeans(
        n_clusters=n_clusters,
        n_init=settings.n_restarts,
        batch_size=MINIBATCH_ROWS,
        max_iter=1,
        random_state=derive_seed(seed, "kmeans.start") % 2**32,
    )
    with single_threaded_libraries(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn advises on its own OpenMP threads
        model.fit(vectors)
    centroids = np.asarray(model.cluster_centers_, dtype=np.float32)
    for _ in range(settings.refinement_passes):
        clusters = sum_clusters(vectors, centroids, settings.n_threads)
        filled = clusters.counts > 0
        centroids[filled] = clusters.sums[filled] / clusters.counts[filled, None]
        if not filled.all():
            n_empty = int((~filled).sum())
            farthest = np.argsort(-clusters.distances, kind="stable")[:n_empty]
            centroids[~filled] = vectors[farthest]
    return centroids


def _split(distinct: FloatArray, n_clusters: int, vectors: FloatArray, seed: int) -> FloatArray:
    """Return all distinct rows, followed by slightly moved copies of them."""
    generator = np.random.default_rng(derive_seed(seed, "kmeans.split"))
    scale = SPLIT_SCALE * max(float(np.sqrt(np.mean(np.square(vectors)))), 1e-6)
    missing = n_clusters - len(distinct)
    parents = distinct[np.arange(missing) % len(distinct)]
    moved = parents + scale * generator.standard_normal(parents.shape)
    return np.concatenate([distinct, moved.astype(np.float32)])
