"""Residual k-means quantizer: fit, encode, decode (paper, Appendix C)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.seeding import derive_seed
from hsrl_pipeline.semantic_ids.balance import BalanceSettings, balance_level
from hsrl_pipeline.semantic_ids.blocks import map_row_ranges
from hsrl_pipeline.semantic_ids.kmeans import KMeansSettings, distinct_rows, fit_centroids
from hsrl_pipeline.semantic_ids.nearest import (
    CodeArray,
    FloatArray,
    LevelCentroids,
    assign_level,
    encode_levels,
)
from hsrl_pipeline.shapes import check_shape

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResidualQuantizer:
    """Frozen centroids of all levels.

    Attributes:
        levels: Centroids and offsets, first level first.
    """

    levels: tuple[LevelCentroids, ...]

    @property
    def embedding_size(self) -> int:
        """Width of the vectors that can be encoded."""
        return int(self.levels[0].centroids.shape[1])

    @property
    def vocab_sizes(self) -> tuple[int, ...]:
        """Codes per level."""
        return tuple(level.vocab_size for level in self.levels)

    def encode(self, vectors: FloatArray, n_threads: int | None = None) -> CodeArray:
        """Return the code of each vector on every level (paper, Eq. 29-31).

        Args:
            vectors: (row, embed) float32. Finite.
            n_threads: Threads; ``None`` for all. The codes do not depend on it.

        Returns:
            (row, level) int64. Codes in ``[0, vocab)``.

        Raises:
            UserError: The width is not the codebook's, or a row holds NaN or infinity.
        """
        checked = check_vectors(vectors, self.embedding_size)
        return encode_levels(checked, self.levels, n_threads)

    def decode(self, codes: CodeArray) -> FloatArray:
        """Return the sum of the centroids that the codes name.

        Args:
            codes: (row, level) int64. Codes in ``[0, vocab)``; may have fewer levels than there
                are, for a coarser reconstruction.

        Returns:
            (row, embed) float32.
        """
        check_shape("codes", codes, None, None)
        total = np.zeros((len(codes), self.embedding_size), dtype=np.float32)
        for depth in range(codes.shape[1]):
            total += self.levels[depth].centroids[codes[:, depth]]
        return total

    def level_errors(self, vectors: FloatArray, codes: CodeArray) -> NDArray[np.float64]:
        """Return the share of the squared norm that is left after each level.

        Args:
            vectors: (row, embed) float32.
            codes: (row, level) int64.

        Returns:
            (level,) float64. 0 is a perfect reconstruction; 1 explains nothing.
        """

        def task(first: int, end: int) -> NDArray[np.float64]:
            residuals = vectors[first:end].astype(np.float32)
            energy = [np.vdot(residuals, residuals)]
            for depth, level in enumerate(self.levels):
                residuals -= level.centroids[codes[first:end, depth]]
                energy.append(np.vdot(residuals, residuals))
            return np.asarray(energy, dtype=np.float64)

        energy = np.sum(map_row_ranges(task, len(vectors)), axis=0)
        return np.asarray(energy[1:] / max(energy[0], np.finfo(np.float64).tiny))


@dataclass(frozen=True)
class QuantizerSettings:
    """Shape of the quantizer and how its levels are clustered.

    Attributes:
        vocab_sizes: Codes per level.
        kmeans: How one level is clustered.
        balance: Which levels are balanced, and how strictly.
    """

    vocab_sizes: tuple[int, ...]
    kmeans: KMeansSettings = field(default_factory=KMeansSettings)
    balance: BalanceSettings = field(default_factory=BalanceSettings)


def fit_residual_quantizer(
    vectors: FloatArray, settings: QuantizerSettings, *, seed: int
) -> ResidualQuantizer:
    """Cluster the vectors, then what each level leaves over (paper, Eq. 27-30).

    A vocabulary larger than the number of distinct vectors is reduced to that number, and a
    warning says so; but never so far that the rows outnumber the codes for it.

    Args:
        vectors: (row, embed) float32. Finite; at least one row.
        settings: Vocabulary sizes and clustering.
        seed: Seed of the run.

    Raises:
        UserError: There are no vectors, or a row holds NaN or infinity.
    """
    if len(vectors) == 0:
        raise UserError(
            "there are no item vectors to quantize", remedy="Check that the items table has rows."
        )
    residuals = check_vectors(vectors, vectors.shape[1]).copy()
    largest = max(settings.vocab_sizes)
    n_distinct = len(distinct_rows(residuals, largest))
    enough = max(n_distinct, _codes_per_level(len(residuals), len(settings.vocab_sizes)))
    # prices can't tell equal rows apart, so balancing counts them once
    once = np.unique(residuals, axis=0, return_index=True)[1] if settings.balance.on else None
    levels: list[LevelCentroids] = []
    previous: CodeArray | None = None
    for depth, asked in enumerate(settings.vocab_sizes):
        vocab_size = min(asked, enough)
        if vocab_size < asked:
            logger.warning(
                "Level %d: %d codes asked for, but only %d distinct item vectors: reduced to %d",
                depth + 1,
                asked,
                n_distinct,
                vocab_size,
            )
        level = LevelCentroids.plain(
            fit_centroids(
                residuals,
                vocab_size,
                settings.kmeans,
                seed=derive_seed(seed, f"semantic_ids.level_{depth}"),
            )
        )
        groups = settings.balance.groups_of(depth, len(settings.vocab_sizes))
        if once is not None and groups is not None:
            level = balance_level(
                residuals[once],
                level.centroids,
                previous[once] if groups == "previous" and previous is not None else None,
                levels[-1].vocab_size if levels else 1,
                settings.balance,
            )
        codes = assign_level(residuals, level, previous, settings.kmeans.n_threads)
        _subtract(residuals, level.centroids, codes, settings.kmeans.n_threads)
        previous = codes if settings.balance.on else None
        del codes  # on large catalogues every array counts
        levels.append(level)
    return ResidualQuantizer(tuple(levels))


def _codes_per_level(n_rows: int, n_levels: int) -> int:
    """Return the fewest codes on each of so many levels that give every row one of its own."""
    codes = 1
    while codes**n_levels < n_rows:
        codes += 1
    return codes


def _subtract(
    residuals: FloatArray, centroids: FloatArray, codes: CodeArray, n_threads: int | None
) -> None:
    """Take each row's centroid off it, in place (paper, Eq. 30)."""

    def task(first: int, end: int) -> None:
        residuals[first:end] -= centroids[codes[first:end]]

    map_row_ranges(task, len(residuals), n_threads)


def check_vectors(vectors: FloatArray, embedding_size: int) -> FloatArray:
    """Return the vectors as contiguous float32, or refuse them.

    Args:
        vectors: (row, embed) float. One vector per row.
        embedding_size: Expected width.

    Raises:
        UserError: The rank or width is wrong, or a row holds NaN or infinity; names the first.
    """
    if vectors.ndim != 2 or vectors.shape[1] != embedding_size:
        raise UserError(
            f"item vectors have shape {tuple(vectors.shape)}, the codebook takes "
            f"(rows, {embedding_size})",
            remedy="Make the vectors the same way as those the codebook was fitted on.",
        )
    converted = np.ascontiguousarray(vectors, dtype=np.float32)
    finite = np.concatenate(
        map_row_ranges(
            lambda first, end: np.isfinite(converted[first:end]).all(axis=1), len(converted)
        )
        or [np.ones(0, dtype=bool)]
    )
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise UserError(
            f"{int((~finite).sum())} item vectors hold NaN or infinity, the first in row {row}",
            where=f"row {row}",
            remedy="Repair or leave out these rows; no default code is given.",
        )
    return converted
