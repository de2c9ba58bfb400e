"""Nearest centroids and the sums of a Lloyd iteration, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.semantic_ids.blocks import BLOCK_ROWS, map_row_ranges
from hsrl_pipeline.shapes import check_shape

FloatArray = NDArray[np.float32]
CodeArray = NDArray[np.int64]


@dataclass(frozen=True)
class LevelCentroids:
    """Centroids of one level and what is added to a squared distance before codes compete.

    Attributes:
        centroids: (vocab, embed) float32.
        offsets: (previous_vocab, vocab) float32, at least 0. Added to the squared distance when
            the previous level's code is the row; one row serves all previous codes. All zero is
            plain nearest-centroid assignment.
    """

    centroids: FloatArray
    offsets: FloatArray

    def __post_init__(self) -> None:
        check_shape("offsets", self.offsets, None, len(self.centroids))

    @classmethod
    def plain(cls, centroids: FloatArray) -> LevelCentroids:
        """Return centroids that compete by distance alone."""
        return cls(centroids, np.zeros((1, len(centroids)), dtype=np.float32))

    @property
    def vocab_size(self) -> int:
        """Number of codes of this level."""
        return len(self.centroids)


class _Scorer:
    """Half squared distances up to a term per row, by one matrix product of augmented rows."""

    def __init__(self, level: LevelCentroids) -> None:
        centroids = level.centroids
        half_norms = 0.5 * np.einsum("ve,ve->v", centroids, centroids)
        self.centroids = centroids
        self._conditional = len(level.offsets) > 1
        self._offsets = 0.5 * level.offsets
        constant = half_norms if self._conditional else half_norms + self._offsets[0]
        self._weights = np.concatenate([-centroids.T, constant[None]]).astype(np.float32)
        self._scores = np.empty((BLOCK_ROWS, len(centroids)), dtype=np.float32)
        self._rows = np.zeros((BLOCK_ROWS, centroids.shape[1] + 1), dtype=np.float32)
        self._rows[:, -1] = 1.0

    def nearest(self, rows: FloatArray, previous: CodeArray | None) -> CodeArray:
        count = len(rows)
        self._rows[:count, :-1] = rows
        # always a full block: BLAS rounds differently for other shapes, and a row's code must not
        # depend on its company
        np.matmul(self._rows, self._weights, out=self._scores)
        scores = self._scores[:count]
        if self._conditional:
            scores += self._offsets[previous]
        return np.asarray(scores.argmin(axis=1), dtype=np.int64)


def assign_level(
    residuals: FloatArray,
    level: LevelCentroids,
    previous: CodeArray | None,
    n_threads: int | None = None,
) -> CodeArray:
    """Return the best code of one level for what earlier levels left over (paper, Eq. 29).

    Args:
        residuals: (row, embed) float32.
        level: Centroids and offsets.
        previous: (row,) int64. Codes of the level before; needed when offsets depend on them.
        n_threads: Threads; ``None`` for all.

    Returns:
        (row,) int64. Codes in ``[0, vocab)``.
    """
    codes = np.empty(len(residuals), dtype=np.int64)

    def task(first: int, end: int) -> None:
        scorer = _Scorer(level)
        for start in range(first, end, BLOCK_ROWS):
            rows = slice(start, min(start + BLOCK_ROWS, end))
            codes[rows] = scorer.nearest(
                residuals[rows], None if previous is None else previous[rows]
            )

    map_row_ranges(task, len(residuals), n_threads)
    return codes


def encode_levels(
    vectors: FloatArray, levels: Sequence[LevelCentroids], n_threads: int | None = None
) -> CodeArray:
    """Return the code of the best centroid level by level, on residuals (paper, Eq. 29-31).

    Ties go to the smaller code, so equal vectors get equal codes.

    Args:
        vectors: (row, embed) float32.
        levels: One entry per level.
        n_threads: Threads; ``None`` for all.

    Returns:
        (row, level) int64. Codes in ``[0, vocab)``.
    """
    codes = np.empty((len(vectors), len(levels)), dtype=np.int64)

    def task(first: int, end: int) -> None:
        scorers = [_Scorer(level) for level in levels]
        for start in range(first, end, BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, end)
            residuals = vectors[start:stop].copy()
            previous: CodeArray | None = None
            for depth, scorer in enumerate(scorers):
                previous = scorer.nearest(residuals, previous)
                codes[start:stop, depth] = previous
                residuals -= scorer.centroids[previous]

    map_row_ranges(task, len(vectors), n_threads)
    return codes


class ClusterSums(NamedTuple):
    """What one pass over the data tells about the clusters.

    Attributes:
        codes: (row,) int64. Nearest centroid of each row.
        sums: (vocab, embed) float64. Sum of the rows of each cluster.
        counts: (vocab,) int64. Rows of each cluster.
    """

    codes: CodeArray
    sums: NDArray[np.float64]
    counts: NDArray[np.int64]


def sum_clusters(
    vectors: FloatArray, centroids: FloatArray, n_threads: int | None = None
) -> ClusterSums:
    """Assign every row to its nearest centroid and sum up the clusters.

    Args:
        vectors: (row, embed) float32.
        centroids: (vocab, embed) float32.
        n_threads: Threads; ``None`` for all. The sums do not depend on it.
    """
    from scipy.sparse import csr_matrix

    vocab = len(centroids)
    codes = np.empty(len(vectors), dtype=np.int64)

    def task(first: int, end: int) -> NDArray[np.float32]:
        scorer = _Scorer(LevelCentroids.plain(centroids))
        for start in range(first, end, BLOCK_ROWS):
            rows = slice(start, min(start + BLOCK_ROWS, end))
            codes[rows] = scorer.nearest(vectors[rows], None)
        count = end - first
        members = csr_matrix(
            (np.ones(count, np.float32), codes[first:end], np.arange(count + 1)),
            shape=(count, vocab),
        )
        return np.asarray(members.T @ vectors[first:end])

    total = np.zeros((vocab, vectors.shape[1]), dtype=np.float64)
    for part in map_row_ranges(task, len(vectors), n_threads):
        total += part
    return ClusterSums(codes, total, np.bincount(codes, minlength=vocab))
