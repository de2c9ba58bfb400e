"""A user's taste as a few numbers, inferred from likes and dislikes alike.

The log-odds of a click on item i by user u are ``log_odds[i] + bias[u] + vectors[i] . vector[u]``,
a logistic factorisation. Given the items, the taste of a user is the mode of its posterior: few
answers say little and leave it near the prior, which is zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.shapes import check_shape
from hsrl_pipeline.simulator.response.normal_equations import (
    pair_products,
    solve_systems,
    square_matrices,
)

OWNERS_PER_BLOCK = 16_384
"""Owners whose normal equations are held at once."""

LARGEST_STEP = 1e-3
"""Inference stops when no number of any taste moves further than this."""

MOST_STEPS = 100
VECTOR_PRECISION = 1.0
"""Prior precision of the items' vectors; only its product with that of the users' matters."""

LOG_ODDS_PRECISION = 1.0
"""Prior precision of an item's log-odds around those of all items together."""

Integers = NDArray[np.int32] | NDArray[np.int64]


class ItemTastes(NamedTuple):
    """What the taste of a user is multiplied with, and how far it is shrunk.

    Attributes:
        vectors: (item, size) float64. Zero for items without rows.
        log_odds: (item,) float64. Of a click by the average user.
        precision: (size + 1,) float64. Prior precision of a user's vector and, last, bias.
    """

    vectors: NDArray[np.float64]
    log_odds: NDArray[np.float64]
    precision: NDArray[np.float64]

    @property
    def features(self) -> NDArray[np.float64]:
        """(item, size + 1) float64. The vectors with the 1 that meets the user's bias."""
        return np.concatenate([self.vectors, np.ones((len(self.vectors), 1))], axis=1)

    def personal_parts(
        self, tastes: NDArray[np.float64], users: Integers, slates: Integers
    ) -> NDArray[np.float64]:
        """Return what users' vectors and biases add to the log-odds of items.

        Args:
            tastes: (user, size + 1) float64. Vectors and, last, biases.
            users: (row,) int64. Rows of ``tastes``.
            slates: (row, slate) int64. Items.

        Returns:
            (row, slate, 2) float64. The part of the vector and the part of the bias.
        """
        own = tastes[users]
        vector = np.einsum("rd,rkd->rk", own[:, :-1], self.vectors[slates])
        return np.stack([vector, np.broadcast_to(own[:, -1:], vector.shape)], axis=-1)


@dataclass(frozen=True)
class Feedback:
    """Who answered what to which item, sorted by who.

    Attributes:
        owners: (event,) int64. Ascending, in ``[0, n_owners)``.
        items: (event,) int64. Item indices.
        clicks: (event,) float64. 1 for a click, 0 for none.
        n_owners: Number of owners, those without events included.
    """

    owners: NDArray[np.int64]
    items: NDArray[np.int64]
    clicks: NDArray[np.float64]
    n_owners: int

    @classmethod
    def of(
        cls,
        owners: NDArray[np.int64],
        items: NDArray[np.int64],
        clicks: NDArray[np.int8] | NDArray[np.float64],
        n_owners: int,
    ) -> Feedback:
        """Return the feedback of events in any order.

        Args:
            owners: (event,) int64. In ``[0, n_owners)``.
            items: (event,) int64. Item indices.
            clicks: (event,) number. 1 for a click, 0 for none.
            n_owners: Number of owners.
        """
        check_shape("items", items, len(owners))
        check_shape("clicks", clicks, len(owners))
        order = np.argsort(owners, kind="stable")
        return cls(
            owners[order].astype(np.int64),
            items[order].astype(np.int64),
            clicks[order].astype(np.float64),
            n_owners,
        )

    @classmethod
    def from_log(cls, log: SlateLog, n_owners: int) -> Feedback:
        """Return all answers of a log; owners are user indices."""
        owners = np.repeat(log.users.astype(np.int64), log.slate_size)
        return cls.of(owners, log.slates.ravel().astype(np.int64), log.labels.ravel(), n_owners)

    def without_events(self) -> Feedback:
        """Return the same owners before they answered anything."""
        return Feedback(self.owners[:0], self.items[:0], self.clicks[:0], self.n_owners)

    def blocks(self) -> Iterator[tuple[slice, Feedback]]:
        """Yield slices of owners, and their events with owners counted from the slice's start."""
        for first in range(0, self.n_owners, OWNERS_PER_BLOCK):
            last = min(first + OWNERS_PER_BLOCK, self.n_owners)
            start, end = np.searchsorted(self.owners, [first, last])
            events = slice(start, end)
            own = self.owners[events] - first
            yield (
                slice(first, last),
                Feedback(own, self.items[events], self.clicks[events], last - first),
            )

    def sum_by_owner(
        self, weights: NDArray[np.float64], item_rows: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return (owner, width) float64: the weighted sum of the rows of each owner's items."""
        from scipy.sparse import csr_matrix

        shape = (self.n_owners, len(item_rows))
        return np.asarray(csr_matrix((weights, self.items, self._bounds), shape=shape) @ item_rows)

    def sum_by_item(
        self, weights: NDArray[np.float64], owner_rows: NDArray[np.float64], n_items: int
    ) -> NDArray[np.float64]:
        """Return (item, width) float64: the weighted sum of the rows of each item's owners."""
        from scipy.sparse import csr_matrix

        order = self._by_item
        bounds = np.searchsorted(self.items[order], np.arange(n_items + 1))
        shape = (n_items, self.n_owners)
        table = csr_matrix((weights[order], self.owners[order], bounds), shape=shape)
        return np.asarray(table @ owner_rows)

    @cached_property
    def _bounds(self) -> NDArray[np.int64]:
        return np.searchsorted(self.owners, np.arange(self.n_owners + 1))

    @cached_property
    def _by_item(self) -> NDArray[np.int64]:
        return np.argsort(self.items, kind="stable")


def infer_tastes(
    items: ItemTastes,
    feedback: Feedback,
    largest_step: float = LARGEST_STEP,
    *,
    apart: bool = False,
    start: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the most likely taste of every owner of feedback, given the items.

    Every step maximises a quadratic that touches the log-posterior from below, so that no step
    overshoots; all owners of a block take it together.

    Args:
        items: Vectors and log-odds of the items, and the prior precision of tastes.
        feedback: Likes and dislikes; an owner is a user, a session, or a part of a log.
        largest_step: Accuracy: inference stops when no number moves further.
        apart: Whether it stops owner by owner, so that a taste depends on nobody else's answers;
            else all owners of a block stop together.
        start: (owner, size + 1) float64. Tastes to begin with, which saves steps where they are
            near; the prior by default.

    Returns:
        (owner, size + 1) float64. Vectors and, last, biases; zero without feedback.

    References:
        Jaakkola and Jordan, Bayesian parameter estimation via variational methods, 2000, Eq. 12.
    """
    features = items.features
    products = pair_products(features)
    tastes = np.zeros((feedback.n_owners, features.shape[1])) if start is None else start.copy()
    for place, part in feedback.blocks():
        own = tastes[place]
        moving = np.ones(len(own), dtype=bool)
        for _ in range(MOST_STEPS):
            weights = _curvature(_log_odds(items, own, part))
            better, _ = _solve_tastes(items, part, weights, features, products)
            further = np.abs(better - own).max(axis=1, initial=0.0) >= largest_step
            own[moving] = better[moving]
            moving &= further if apart else further.any()
            if not moving.any():
                break
    return tastes


def fit_item_tastes(
    feedback: Feedback,
    start: ItemTastes,
    n_sweeps: int,
) -> ItemTastes:
    """Return item vectors and log-odds that explain feedback, by expectation maximisation.

    Tastes are integrated out with their posterior covariance, so that users with few answers pull
    little at the items, and precision alone decides how much is explained by taste.

    Args:
        feedback: Likes and dislikes of users.
        start: Vectors and log-odds to start from, and the prior precision of tastes.
        n_sweeps: Passes over the feedback.
    """
    size = start.vectors.shape[1]
    n_items = len(start.log_odds)
    rate = (feedback.clicks.sum() + 0.5) / (len(feedback.clicks) + 1.0)
    average = float(np.log(rate / (1.0 - rate)))
    prior = np.diag(np.r_[np.full(size, VECTOR_PRECISION), LOG_ODDS_PRECISION])
    items = start
    tastes = np.zeros((feedback.n_owners, size + 1))
    blocks = list(feedback.blocks())
    for _ in range(n_sweeps):
        features = items.features
        products = pair_products(features)
        curvature = np.zeros((n_items, (size + 1) ** 2))
        target = np.zeros((n_items, size + 1))
        target[:, size] = LOG_ODDS_PRECISION * average
        for place, part in blocks:
            weights = _curvature(_log_odds(items, tastes[place], part))
            own, covariance = _solve_tastes(items, part, weights, features, products)
            tastes[place] = own
            weights = _curvature(_log_odds(items, own, part))
            # An item meets the user's vector and a 1, beside the user's bias as given log-odds.
            regressors = np.concatenate([own[:, :size], np.ones((len(own), 1))], axis=1)
            second = square_matrices(pair_products(regressors), size + 1)
            second[:, :size, :size] += covariance[:, :size, :size]
            with_bias = regressors * own[:, size:]
            with_bias[:, :size] += covariance[:, :size, size]
            weighted = np.concatenate([second.reshape(len(own), -1), with_bias], axis=1)
            sums = part.sum_by_item(weights, weighted, n_items)
            curvature += sums[:, : -size - 1]
            target -= sums[:, -size - 1 :]
            target += part.sum_by_item(part.clicks - 0.5, regressors, n_items)
        solved, _ = solve_systems(curvature.reshape(-1, size + 1, size + 1) + prior, target)
        items = items._replace(vectors=solved[:, :size], log_odds=solved[:, size])
    return items


def _log_odds(
    items: ItemTastes, tastes: NDArray[np.float64], feedback: Feedback
) -> NDArray[np.float64]:
    """Return (event,) float64: the log-odds of each event's click."""
    vectors = tastes[:, :-1].take(feedback.owners, axis=0)
    personal = np.einsum("ed,ed->e", vectors, items.vectors.take(feedback.items, axis=0))
    personal += tastes[:, -1].take(feedback.owners)
    return np.asarray(items.log_odds.take(feedback.items) + personal)


def _curvature(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weight of the quadratic below the log-likelihood that touches it there."""
    size = np.maximum(np.abs(log_odds), 1e-6)
    return np.asarray(np.tanh(size / 2.0) / (2.0 * size))


def _solve_tastes(
    items: ItemTastes,
    feedback: Feedback,
    weights: NDArray[np.float64],
    features: NDArray[np.float64],
    products: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the tastes that maximise the quadratics, and their covariances."""
    width = features.shape[1]
    curvature = square_matrices(feedback.sum_by_owner(weights, products), width)
    surprise = feedback.clicks - 0.5 - weights * items.log_odds[feedback.items]
    target = feedback.sum_by_owner(surprise, features)
    return solve_systems(curvature + np.diag(items.precision), target)
