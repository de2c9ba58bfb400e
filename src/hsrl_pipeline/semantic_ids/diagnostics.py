"""How good semantic IDs are: uniqueness, usage, reconstruction, neighbourhoods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.nearest import CodeArray, FloatArray

NEIGHBOURS = 10
"""Nearest neighbours per item in the neighbourhood measure."""

NEIGHBOUR_SAMPLE = 2000
"""Items whose neighbourhoods are looked at; all items are candidates."""


@dataclass(frozen=True)
class LevelUsage:
    """How one level's codes are used.

    Attributes:
        level: Level from 1.
        vocab_size: Codes of the level.
        used_codes: Codes that at least one item has.
        entropy: Entropy of the code's distribution over items, nats.
        effective_vocab: Exponential of the entropy: 1 to ``vocab_size``.
        conditional_entropy: Entropy of the code given the codes before it, nats.
        prefixes: Different prefixes up to and including this level.
    """

    level: int
    vocab_size: int
    used_codes: int
    entropy: float
    effective_vocab: float
    conditional_entropy: float
    prefixes: int


def unique_share(codes: CodeArray) -> float:
    """Return the share of items that are alone under their code.

    Args:
        codes: (row, level) int64. One real item per row.
    """
    group = _groups(codes)
    return float(np.mean(np.bincount(group)[group] == 1))


def collision_histogram(codes: CodeArray) -> dict[int, int]:
    """Return how many codes are shared by 1, 2, 3, ... items.

    Args:
        codes: (row, level) int64. One real item per row.
    """
    sizes, counts = np.unique(np.bincount(_groups(codes)), return_counts=True)
    return {int(size): int(count) for size, count in zip(sizes, counts, strict=True)}


def level_usage(codes: CodeArray, vocab_sizes: Sequence[int]) -> list[LevelUsage]:
    """Return the usage of each level.

    Args:
        codes: (row, level) int64. One real item per row.
        vocab_sizes: Codes per level.
    """
    usage = []
    prefix_entropy = 0.0
    for depth, vocab_size in enumerate(vocab_sizes):
        entropy = _entropy(np.bincount(codes[:, depth], minlength=vocab_size))
        prefixes = np.bincount(_groups(codes[:, : depth + 1]))
        joint = _entropy(prefixes)
        usage.append(
            LevelUsage(
                level=depth + 1,
                vocab_size=int(vocab_size),
                used_codes=len(np.unique(codes[:, depth])),
                entropy=entropy,
                effective_vocab=float(np.exp(entropy)),
                conditional_entropy=joint - prefix_entropy,
                prefixes=len(prefixes),
            )
        )
        prefix_entropy = joint
    return usage


def prefix_neighbour_share(
    vectors: FloatArray, codes: CodeArray, *, seed: int
) -> NDArray[np.float64]:
    """Return how often an item shares a prefix with its nearest neighbours in vector space.

    Args:
        vectors: (row, embed) float32. Unit rows; similarity is the dot product.
        codes: (row, level) int64.
        seed: Seed of the sample of items when there are many.

    Returns:
        (level,) float64. Share of the ``NEIGHBOURS`` nearest items that have the same codes up to
        and including the level.
    """
    n_rows = len(vectors)
    count = min(NEIGHBOURS, n_rows - 1)
    if count < 1:
        return np.zeros(codes.shape[1])
    rows = np.arange(n_rows)
    if n_rows > NEIGHBOUR_SAMPLE:
        generator = np.random.default_rng(seed)
        rows = np.sort(generator.choice(n_rows, NEIGHBOUR_SAMPLE, replace=False))
    similarity = vectors[rows] @ vectors.T
    similarity[np.arange(len(rows)), rows] = -np.inf
    nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    same = np.logical_and.accumulate(codes[nearest] == codes[rows][:, None, :], axis=2)
    return np.asarray(same.mean(axis=(0, 1)))


def diagnose(codebook: Codebook, vectors: FloatArray, *, seed: int) -> dict[str, Any]:
    """Return all figures on a codebook as a JSON-able dictionary.

    Args:
        codebook: Semantic IDs to judge.
        vectors: (item, embed) float32. The vectors they were made from, row 0 for padding.
        seed: Seed of samples.
    """
    live = np.flatnonzero(codebook.codes[:, 0] >= 0)
    rows = vectors[live]
    final = codebook.codes[live]
    before = codebook.encode(rows)
    n_quantizer_levels = before.shape[1]
    errors_before = codebook.quantizer.level_errors(rows, before)
    errors = codebook.quantizer.level_errors(rows, final[:, :n_quantizer_levels])
    return {
        "codebook_version": codebook.version,
        "n_items": len(live),
        "vocab_sizes": list(codebook.vocab_sizes),
        "collisions": codebook.collisions,
        "unique_share_before_resolver": unique_share(before),
        "unique_share": unique_share(final),
        "reassigned_share": float(np.mean((before != final[:, :n_quantizer_levels]).any(axis=1))),
        "collision_histogram_before_resolver": _keyed(collision_histogram(before)),
        "collision_histogram": _keyed(collision_histogram(final)),
        "levels": [asdict(usage) for usage in level_usage(final, codebook.vocab_sizes)],
        "reconstruction_error_before_resolver": errors_before.tolist(),
        "reconstruction_error": errors.tolist(),
        "prefix_neighbour_share": prefix_neighbour_share(rows, final, seed=seed).tolist(),
    }


def _groups(codes: CodeArray) -> NDArray[np.int64]:
    """Return a dense group number per row, equal for equal rows."""
    group = np.zeros(len(codes), dtype=np.int64)
    for depth in range(codes.shape[1]):
        column = codes[:, depth]
        keys = group * (int(column.max(initial=0)) + 1) + column
        group = np.unique(keys, return_inverse=True)[1]
    return group


def _entropy(counts: NDArray[np.int64]) -> float:
    """Return the entropy in nats of the distribution that counts stand for."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def _keyed(histogram: dict[int, int]) -> dict[str, int]:
    return {str(size): count for size, count in histogram.items()}
