"""Balanced codes: prices that keep any code from taking more than its share of the items.

The price of a code is added to the squared distance before codes compete, so that the items at the
border of an overfull cell go to their second choice. Prices are learned once and frozen with the
centroids: a balanced codebook encodes a new item as directly as a plain one, by one argmin. A
price table with a row per previous code balances the continuations of every prefix token, which
undoes the hourglass: without it few of the code pairs are ever used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.semantic_ids.blocks import single_threaded_libraries
from hsrl_pipeline.semantic_ids.nearest import CodeArray, FloatArray, LevelCentroids

ROWS_PER_BLOCK = 16_384
"""Rows whose distances to all centroids are held at a time."""


BalanceMode = Literal["none", "levels", "prefixes"]


@dataclass(frozen=True)
class BalanceSettings:
    """Which levels are balanced, and how strictly.

    Attributes:
        mode: ``none`` is nearest-centroid assignment. ``levels`` evens out each level.
            ``prefixes`` leaves the first level alone, evens out those between, and evens out the
            last one among the items of each previous code, so that few items share all codes.
        slack: Capacity of a code relative to an even share, at least 1.
        alternations: How often centroids are moved to the means of the balanced cells.
        largest_rounds: Rounds of raising prices; what is still overfull then stays so.
    """

    mode: BalanceMode = "none"
    slack: float = 1.0
    alternations: int = 2
    largest_rounds: int = 100

    @property
    def on(self) -> bool:
        """Whether any level is balanced."""
        return self.mode != "none"

    def groups_of(self, depth: int, n_levels: int) -> Literal["all", "previous"] | None:
        """Return among which items a level is evened out: all, those of each previous code, none.

        Args:
            depth: Level from 0.
            n_levels: Number of levels.
        """
        if self.mode == "levels" or (self.mode == "prefixes" and n_levels == 1):
            return "all"
        if self.mode == "none" or depth == 0:
            return None
        return "previous" if depth == n_levels - 1 else "all"


def balance_level(
    vectors: FloatArray,
    centroids: FloatArray,
    previous: CodeArray | None,
    n_previous: int,
    settings: BalanceSettings,
) -> LevelCentroids:
    """Return centroids and prices under which no code is overfull.

    Args:
        vectors: (row, embed) float32. Distinct rows: equal ones can't be told apart by prices.
        centroids: (vocab, embed) float32. Where to start from.
        previous: (row,) int64. Code of the previous level; None balances over all rows.
        n_previous: Size of the previous level's vocabulary; ignored without ``previous``.
        settings: Slack and effort.
    """
    group = np.zeros(len(vectors), dtype=np.int64) if previous is None else previous
    n_groups = 1 if previous is None else n_previous
    moved = centroids.astype(np.float32)
    with single_threaded_libraries():
        for _ in range(settings.alternations):
            codes, _ = _price_codes(vectors, moved, group, n_groups, settings)
            counts = np.bincount(codes, minlength=len(moved))
            sums = np.zeros(moved.shape, dtype=np.float64)
            np.add.at(sums, codes, vectors)
            filled = counts > 0
            moved = moved.copy()
            moved[filled] = sums[filled] / counts[filled, None]
        _, prices = _price_codes(vectors, moved, group, n_groups, settings)
    return LevelCentroids(moved, prices)


def _price_codes(
    vectors: FloatArray,
    centroids: FloatArray,
    group: CodeArray,
    n_groups: int,
    settings: BalanceSettings,
) -> tuple[CodeArray, FloatArray]:
    """Raise the prices of overfull codes until enough of their items prefer another code.

    In each round the price of an overfull cell rises to the middle between the last item that has
    to go and the first that may stay, in the order of what leaving costs them. Prices never fall,
    so that items of other cells keep their choice and only those of raised cells are looked at.

    Returns:
        (row,) int64 codes and (group, vocab) float32 prices, at least 0.
    """
    vocab = len(centroids)
    prices = np.zeros((n_groups, vocab), dtype=np.float32)
    codes, margins = _two_best(vectors, centroids, prices, group)
    capacity = _capacities(group, codes, n_groups, vocab, settings.slack)
    for _ in range(settings.largest_rounds):
        cell = group * vocab + codes
        counts = np.bincount(cell, minlength=len(capacity))
        overfull = counts > capacity
        rows = np.flatnonzero(overfull[cell])
        if len(rows) == 0:
            break
        row_cells, row_margins = cell[rows], margins[rows]
        order = np.lexsort((row_margins, row_cells))
        ordered = row_margins[order]
        cells = np.flatnonzero(overfull)
        starts = np.cumsum(counts[cells]) - counts[cells]
        last = starts + counts[cells] - capacity[cells] - 1
        prices.ravel()[cells] += 0.5 * (ordered[last] + ordered[last + 1])
        codes[rows], margins[rows] = _two_best(vectors[rows], centroids, prices, group[rows])
    return codes, prices


def _capacities(
    group: CodeArray, codes: CodeArray, n_groups: int, vocab: int, slack: float
) -> NDArray[np.int64]:
    """Return (group * vocab,) int64 items that each cell may hold.

    The places of a group are its size times ``slack``, shared evenly; what an even share leaves
    over goes to the cells that most items want.
    """
    wanted = np.bincount(group * vocab + codes, minlength=n_groups * vocab)
    places = np.ceil(slack * np.bincount(group, minlength=n_groups)).astype(np.int64)
    even, rest = np.divmod(places, vocab)
    rank = np.argsort(
        np.argsort(-wanted.reshape(n_groups, vocab), axis=1, kind="stable"), axis=1, kind="stable"
    )
    return np.asarray(np.maximum(even[:, None] + (rank < rest[:, None]), 1).ravel())


def _two_best(
    vectors: FloatArray,
    centroids: FloatArray,
    prices: FloatArray,
    group: CodeArray,
) -> tuple[CodeArray, FloatArray]:
    """Return each row's cheapest code and how much dearer its second choice is."""
    codes = np.empty(len(vectors), dtype=np.int64)
    margins = np.empty(len(vectors), dtype=np.float32)
    norms = np.square(centroids).sum(axis=1)
    for start in range(0, len(vectors), ROWS_PER_BLOCK):
        rows = slice(start, start + ROWS_PER_BLOCK)
        cost = vectors[rows] @ (-2.0 * centroids.T)
        cost += norms
        cost += prices[group[rows]]
        best = cost.argmin(axis=1)
        at = np.arange(len(best))
        least = cost[at, best]
        cost[at, best] = np.inf
        codes[rows] = best
        margins[rows] = cost.min(axis=1) - least
    return codes, margins
