"""The best codes of a vector beyond the greedy one, by beam search over the levels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hsrl_pipeline.semantic_ids.blocks import single_threaded_libraries
from hsrl_pipeline.semantic_ids.nearest import CodeArray, FloatArray
from hsrl_pipeline.semantic_ids.residual_quantizer import ResidualQuantizer

SCORES_PER_BLOCK = 2**22
"""Distances computed at a time: 16 MiB of float32."""


class CodeCandidates(NamedTuple):
    """Several codes per row, best first.

    Attributes:
        codes: (row, candidate, level) int64.
        distortions: (row, candidate) float32. Squared distance between vector and reconstruction,
            ascending after the first.
    """

    codes: CodeArray
    distortions: FloatArray


def best_codes(
    quantizer: ResidualQuantizer, vectors: FloatArray, own: CodeArray, width: int
) -> CodeCandidates:
    """Return each row's own code followed by others in the order of their distortion.

    The search keeps ``width`` prefixes per level: with ``width`` at least the number of codes
    it is exhaustive.

    Args:
        quantizer: Fitted centroids.
        vectors: (row, embed) float32.
        own: (row, level) int64. The code that comes first whatever its distortion.
        width: Candidates per row, at least 1.
    """
    widest = min(width, int(np.prod(quantizer.vocab_sizes[:-1], dtype=np.float64)) or 1)
    per_row = widest * max(quantizer.vocab_sizes)
    block = max(1, SCORES_PER_BLOCK // per_row)
    parts = []
    with single_threaded_libraries():
        for start in range(0, len(vectors), block):
            rows = slice(start, start + block)
            parts.append(_search(quantizer, vectors[rows], own[rows], width))
    return CodeCandidates(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _search(
    quantizer: ResidualQuantizer, vectors: FloatArray, own: CodeArray, width: int
) -> CodeCandidates:
    """Beam search for one block of rows."""
    n_rows, embed = vectors.shape
    residuals = vectors[:, None, :].astype(np.float32)
    codes = np.empty((n_rows, 1, 0), dtype=np.int64)
    distortions = np.zeros((n_rows, 1), dtype=np.float32)
    row = np.arange(n_rows)[:, None]
    for level in quantizer.levels:
        centroids = level.centroids
        scores = (
            np.square(residuals).sum(axis=2, keepdims=True)
            - 2.0 * (residuals.reshape(-1, embed) @ centroids.T).reshape(n_rows, -1, len(centroids))
            + np.square(centroids).sum(axis=1)
        ).reshape(n_rows, -1)
        keep = min(width, scores.shape[1])
        best = (
            np.argpartition(scores, keep - 1, axis=1)[:, :keep]
            if keep < scores.shape[1]
            else (np.broadcast_to(np.arange(scores.shape[1]), scores.shape))
        )
        best = np.sort(best, axis=1)  # ties in the next sort go to the smaller code
        order = np.argsort(scores[row, best], axis=1, kind="stable")
        best = best[row, order]
        parent, code = np.divmod(best, len(centroids))
        codes = np.concatenate([codes[row, parent], code[:, :, None]], axis=2)
        residuals = residuals[row, parent] - centroids[code]
        distortions = scores[row, best]
    return _own_first(quantizer, vectors, own, CodeCandidates(codes, distortions))


def _own_first(
    quantizer: ResidualQuantizer, vectors: FloatArray, own: CodeArray, found: CodeCandidates
) -> CodeCandidates:
    """Put the own code in front and drop its second mention, or the last candidate."""
    same = (found.codes == own[:, None, :]).all(axis=2)
    dropped = np.where(same.any(axis=1), same.argmax(axis=1), same.shape[1] - 1)
    kept = np.arange(same.shape[1]) != dropped[:, None]
    n_rows, width = same.shape
    own_distortion = np.square(vectors - quantizer.decode(own)).sum(axis=1)
    return CodeCandidates(
        np.concatenate(
            [own[:, None, :], found.codes[kept].reshape(n_rows, width - 1, own.shape[1])], axis=1
        ),
        np.concatenate(
            [own_distortion[:, None], found.distortions[kept].reshape(n_rows, width - 1)], axis=1
        ),
    )
