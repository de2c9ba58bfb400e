"""How good semantic IDs are: uniqueness, usage, reconstruction, neighbourhoods."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.semantic_ids.codebook import NO_CODE, Codebook
from hsrl_pipeline.semantic_ids.nearest import CodeArray, FloatArray

logger = logging.getLogger(__name__)

IDLE_SHARE = 0.5
"""Share of items alone before the last level, above which that level hardly decides anything."""

ITEMS_PER_PREFIX = 4
"""Items that a prefix of all levels but the last should tell apart on average."""

NEIGHBOURS = 10
"""Nearest neighbours per item in the neighbourhood measure."""

NEIGHBOUR_SAMPLE = 2000
"""Items whose neighbourhoods are looked at; all items are candidates."""

SIMILARITIES_PER_BLOCK = 2**24
"""Dot products held at a time: 64 MiB of float32."""


@dataclass(frozen=True)
class LevelUsage:
    """How one level's codes are used.

    Attributes:
        level: Level from 1.
        vocab_size: Codes of the level.
        used_codes: Codes that at least one item has.
        entropy: Entropy of the code's distribution over items, nats.
        effective_vocab: Exponential of the entropy, 1 to ``vocab_size``.
        continuations: Exponential of the entropy given the codes before: the number of equally
            used codes that would tell as much once the prefix is known.
        prefixes: Different prefixes up to and including this level.
    """

    level: int
    vocab_size: int
    used_codes: int
    entropy: float
    effective_vocab: float
    continuations: float
    prefixes: int


def unique_share(codes: CodeArray) -> float:
    """Return the share of items that are alone under their code.

    Args:
        codes: (row, level) int64. One real item per row.
    """
    group = _groups(codes)
    return float(np.mean(np.bincount(group)[group] == 1))


def alone_before_last_level(codes: CodeArray) -> float:
    """Return the share of items that no other item shares all codes but the last with.

    For these items the last level decides nothing.

    Args:
        codes: (row, level) int64. One real item per row.

    Returns:
        Share in [0, 1]; 0 with one level, before which all items are together.
    """
    return unique_share(codes[:, :-1]) if codes.shape[1] > 1 else 0.0


def warn_of_idle_level(diagnostics: dict[str, Any]) -> None:
    """Warn once where the last level decides nothing for most items.

    Args:
        diagnostics: What `diagnose` returned.
    """
    share, n_items = diagnostics["alone_before_last_level"], diagnostics["n_items"]
    if share <= IDLE_SHARE:
        return
    n_levels = len(diagnostics["reconstruction_error"])
    vocab_size = max(2, int((n_items / ITEMS_PER_PREFIX) ** (1.0 / (n_levels - 1))))
    logger.warning(
        "%.0f of %d items are alone before the last level: level %d decides nothing for them. "
        "For about %d items per prefix set sid.vocab_size=%d, or take fewer levels (sid.n_levels)",
        share * n_items,
        n_items,
        n_levels,
        ITEMS_PER_PREFIX,
        vocab_size,
    )


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
        counts = np.bincount(codes[:, depth], minlength=vocab_size)
        prefix_counts = np.bincount(_groups(codes[:, : depth + 1]))
        joint = _entropy(prefix_counts)
        usage.append(
            LevelUsage(
                level=depth + 1,
                vocab_size=int(vocab_size),
                used_codes=int((counts > 0).sum()),
                entropy=_entropy(counts),
                effective_vocab=float(np.exp(_entropy(counts))),
                continuations=float(np.exp(joint - prefix_entropy)),
                prefixes=len(prefix_counts),
            )
        )
        prefix_entropy = joint
    return usage


def hourglass(usage: Sequence[LevelUsage]) -> float:
    """Return how much narrower the middle levels are than the outer ones (paper, Sec. 4.5).

    Args:
        usage: Usage of all levels.

    Returns:
        1 minus the smallest effective share of the vocabulary among the middle levels, relative
        to the mean of the first and the last level; 0 when the middle is as wide, negative when
        it is wider, and 0 with fewer than 3 levels.
    """
    if len(usage) < 3:
        return 0.0
    share = [level.effective_vocab / level.vocab_size for level in usage]
    return float(1.0 - min(share[1:-1]) / (0.5 * (share[0] + share[-1])))


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
    shared = np.zeros(codes.shape[1])
    block = max(1, SIMILARITIES_PER_BLOCK // n_rows)
    for start in range(0, len(rows), block):
        chosen = rows[start : start + block]
        similarity = vectors[chosen] @ vectors.T
        similarity[np.arange(len(chosen)), chosen] = -np.inf
        nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        same = codes[nearest] == codes[chosen][:, None, :]
        shared += np.logical_and.accumulate(same, axis=2).sum(axis=(0, 1))
    return np.asarray(shared / (len(rows) * count))


def diagnose(codebook: Codebook, vectors: FloatArray, *, seed: int) -> dict[str, Any]:
    """Return all figures on a codebook as a JSON-able dictionary.

    Args:
        codebook: Semantic IDs to judge.
        vectors: (item, embed) float32. The vectors they were made from, row 0 for padding.
        seed: Seed of samples.
    """
    live = np.flatnonzero(codebook.codes[:, 0] != NO_CODE)
    rows, final = vectors[live], codebook.codes[live]
    before = codebook.encode(rows)
    from_vectors = final[:, : before.shape[1]]
    usage = level_usage(final, codebook.vocab_sizes)
    quantizer = codebook.quantizer
    return {
        "codebook_version": codebook.version,
        "n_items": len(live),
        "vocab_sizes": list(codebook.vocab_sizes),
        "collisions": codebook.collisions,
        "unique_share_before_resolver": unique_share(before),
        "unique_share": unique_share(final),
        "alone_before_last_level": alone_before_last_level(from_vectors),
        "moved_share": float(np.mean((before != from_vectors).any(axis=1))),
        "collision_histogram_before_resolver": _keyed(collision_histogram(before)),
        "collision_histogram": _keyed(collision_histogram(final)),
        "levels": [asdict(level) for level in usage],
        "hourglass": hourglass(usage),
        "reconstruction_error_before_resolver": quantizer.level_errors(rows, before).tolist(),
        "reconstruction_error": quantizer.level_errors(rows, from_vectors).tolist(),
        "prefix_neighbour_share": prefix_neighbour_share(rows, final, seed=seed).tolist(),
    }


def flat_metrics(diagnostics: dict[str, Any]) -> dict[str, float]:
    """Return the figures by which runs are compared, one name for each.

    Args:
        diagnostics: What `diagnose` returned.
    """
    metrics = {
        f"sid_{name}": float(diagnostics[name])
        for name in (
            "unique_share_before_resolver",
            "unique_share",
            "alone_before_last_level",
            "moved_share",
            "hourglass",
        )
    }
    for level in diagnostics["levels"]:
        metrics[f"sid_effective_vocab_level_{level['level']}"] = float(level["effective_vocab"])
    errors = diagnostics["reconstruction_error"]
    metrics |= {f"sid_reconstruction_error_level_{k}": e for k, e in enumerate(errors, start=1)}
    return metrics


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
