"""What happens to items that the centroids give one and the same code."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.semantic_ids.candidate_codes import CodeCandidates, best_codes
from hsrl_pipeline.semantic_ids.nearest import CodeArray, FloatArray
from hsrl_pipeline.semantic_ids.residual_quantizer import ResidualQuantizer

FIRST_CANDIDATES = 16
"""Codes looked at for a contested item before the search is widened."""

LARGEST_KEY = 2**62
"""Number of different codes that fit an int64 key with room to spare."""


def assign_codes(
    quantizer: ResidualQuantizer,
    vectors: FloatArray,
    *,
    collisions: str,
    taken: CodeArray | None = None,
    suffix_vocab_size: int | None = None,
) -> tuple[CodeArray, tuple[int, ...]]:
    """Return the semantic IDs of items and the vocabulary sizes of their levels.

    Args:
        quantizer: Fitted centroids.
        vectors: (row, embed) float32. One item per row.
        collisions: ``keep`` lets items share a code; ``reassign`` moves all but one of them to
            the free code that adds the least distortion; ``suffix`` adds a level that counts them.
        taken: (row, level) int64. Codes of items that are there already and never move.
        suffix_vocab_size: Codes of the suffix level; ``None`` for twice the largest group.

    Raises:
        UserError: A vector is unusable or the codes do not suffice.
    """
    codes = quantizer.encode(vectors)
    sizes = quantizer.vocab_sizes
    if collisions == "keep":
        return codes, sizes
    if collisions == "reassign":
        return _reassign(quantizer, vectors, codes, taken), sizes
    if collisions == "suffix":
        return _append_suffix(codes, sizes, taken, suffix_vocab_size)
    raise ValueError(f"collisions is {collisions!r}, expected keep, reassign or suffix")


def code_keys(codes: CodeArray, vocab_sizes: tuple[int, ...]) -> NDArray[np.int64]:
    """Return one integer per code, in lexicographic order of the codes.

    Args:
        codes: (..., level) int64.
        vocab_sizes: Codes per level.

    Raises:
        UserError: There are more different codes than integers.
    """
    if math.prod(vocab_sizes) > LARGEST_KEY:
        raise UserError(
            f"vocabularies {list(vocab_sizes)} give more than 2^62 codes",
            where="sid.n_levels, sid.vocab_size",
            remedy="Take fewer levels or smaller vocabularies.",
        )
    keys = np.zeros(codes.shape[:-1], dtype=np.int64)
    for depth, size in enumerate(vocab_sizes):
        keys = keys * size + codes[..., depth]
    return keys


def _reassign(
    quantizer: ResidualQuantizer, vectors: FloatArray, codes: CodeArray, taken: CodeArray | None
) -> CodeArray:
    """Give every item a code of its own; items alone on a free code keep it."""
    sizes = quantizer.vocab_sizes
    keys = code_keys(codes, sizes)
    occupied = np.sort(code_keys(taken, sizes)) if taken is not None else np.empty(0, np.int64)
    capacity = math.prod(sizes)
    if len(codes) + len(occupied) > capacity:
        raise UserError(
            f"{len(codes) + len(occupied)} items need more codes than the {capacity} there are",
            where="sid.n_levels, sid.vocab_size",
            remedy="Take more levels, larger vocabularies, or sid.collisions: suffix.",
        )
    _, group, size = np.unique(keys, return_inverse=True, return_counts=True)
    settled = (size[group] == 1) & ~_contains(occupied, keys)
    alone = np.sort(keys[settled])
    occupied = np.insert(occupied, np.searchsorted(occupied, alone), alone)
    result = codes.copy()
    rows = np.flatnonzero(~settled)
    # few beside those occupied before: merging them with all codes in each round would cost most
    claimed = np.empty(0, np.int64)
    width = FIRST_CANDIDATES
    while len(rows):
        candidates = best_codes(quantizer, vectors[rows], codes[rows], width)
        chosen = _claim(candidates, code_keys(candidates.codes, sizes), (occupied, claimed))
        won = chosen >= 0
        result[rows[won]] = candidates.codes[won, chosen[won]]
        claimed = np.union1d(claimed, code_keys(result[rows[won]], sizes))
        rows = rows[~won]
        width = min(width * 8, capacity)
    return result


def _claim(
    candidates: CodeCandidates,
    keys: NDArray[np.int64],
    taken: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> NDArray[np.int64]:
    """Let rows claim free codes in rounds; a contested code goes to who loses most without it.

    Args:
        candidates: Codes by row, best first.
        keys: (row, candidate) int64. Their keys.
        taken: Two sorted arrays of keys that are not free, the second short.

    Returns:
        (row,) int64. Position in the row's candidates, -1 when all of them are occupied.
    """
    n_rows, width = keys.shape
    occupied, claimed = taken
    chosen = np.full(n_rows, -1, dtype=np.int64)
    position = np.zeros(n_rows, dtype=np.int64)
    active = np.arange(n_rows)
    while len(active):
        wanted = keys[active, position[active]]
        blocked = _contains(occupied, wanted) | _contains(claimed, wanted)
        position[active[blocked]] += 1
        active = active[position[active] < width]
        at = position[active]
        wanted = keys[active, at]
        free = ~(_contains(occupied, wanted) | _contains(claimed, wanted))
        bidders, at = active[free], at[free]
        following = np.minimum(at + 1, width - 1)
        regret = candidates.distortions[bidders, following] - candidates.distortions[bidders, at]
        wanted = keys[bidders, at]
        order = np.lexsort((bidders, -regret, wanted))
        first = np.ones(len(order), dtype=bool)
        first[1:] = wanted[order[1:]] != wanted[order[:-1]]
        winners = bidders[order[first]]
        chosen[winners] = position[winners]
        claimed = np.union1d(claimed, keys[winners, position[winners]])
        active = active[chosen[active] < 0]
    return chosen


def _contains(sorted_keys: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which keys occur in a sorted array."""
    if len(sorted_keys) == 0:
        return np.zeros(keys.shape, dtype=bool)
    at = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.asarray(sorted_keys[at] == keys)


def _append_suffix(
    codes: CodeArray,
    sizes: tuple[int, ...],
    taken: CodeArray | None,
    suffix_vocab_size: int | None,
) -> tuple[CodeArray, tuple[int, ...]]:
    """Number the items of each code; new items take the smallest numbers that are free."""
    prefixes, group = np.unique(codes, axis=0, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.cumsum(np.bincount(group, minlength=len(prefixes))) - np.bincount(
        group, minlength=len(prefixes)
    )
    rank = np.empty(len(codes), dtype=np.int64)
    rank[order] = np.arange(len(codes)) - starts[group[order]]
    largest = int(rank.max(initial=0)) + 1
    vocab_size = suffix_vocab_size or max(2 * largest, 2)
    used = np.zeros((len(prefixes), vocab_size), dtype=bool)
    if taken is not None and len(taken):
        known = code_keys(prefixes, sizes)
        inside = _contains(known, code_keys(taken[:, :-1], sizes))
        rows = np.searchsorted(known, code_keys(taken[inside, :-1], sizes))
        used[rows, taken[inside, -1]] = True
    n_free = vocab_size - used.sum(axis=1)
    if (rank >= n_free[group]).any():
        row = int(np.argmax(rank >= n_free[group]))
        raise UserError(
            f"code {codes[row].tolist()} has more items than the suffix level's {vocab_size} codes",
            where=f"row {row}",
            remedy="Raise sid.suffix_vocab_size or the vocabularies, and fit the codebook again.",
        )
    free_first = np.argsort(used, axis=1, kind="stable")
    suffix = free_first[group, rank]
    return np.concatenate([codes, suffix[:, None]], axis=1), (*sizes, vocab_size)
