"""Tastes of a log's users, shrunk by what rows held out of the same users say.

No row is explained by itself: the tastes that go with the fitting rows come from fits to the
users' other rows. The shipped tastes are inferred from every row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.config.simulator import UserTasteConfig
from hsrl_pipeline.data.click_statistics import click_log_odds
from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.simulator.response.fidelity_metrics import log_loss
from hsrl_pipeline.simulator.response.item_features import count_items, taste_vectors
from hsrl_pipeline.simulator.response.part_scaling import fit_part_scales
from hsrl_pipeline.simulator.response.taste import (
    Feedback,
    ItemTastes,
    fit_item_tastes,
    infer_tastes,
)

PRECISIONS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Prior precisions of the users' vectors to choose from."""

FIRST_PRECISION = 2
"""Place of the precision that is tried first; from there the search goes up or down."""

BIAS_SHARE = 0.05
"""Prior precision of a user's bias as a share of the vector's."""

N_SWEEPS = 8
START_SPREAD = 2.0
"""Factor of the items' taste vectors (item_features.py) to start from."""

SECONDS_PER_DAY = 86_400
FEWEST_HELD_OUT = 1000
"""Answers of later visits below which each user's latest rows are held out instead."""

LATEST_SHARE = 0.1
"""Share of a user's rows held out where the log has no later visits."""


class TasteReport(NamedTuple):
    """What held-out rows of known users said, and what was made of it.

    Attributes:
        held_out: ``visits`` (later visits of the same users), ``latest`` (their latest rows), or
            ``none``: nobody has two rows, so nothing is known of tastes and both scales are 0.
        n_slates: Number of held-out slates.
        precision: Chosen prior precision of the users' vectors.
        vector_scale: Share of the vector's part that held-out clicks confirm, at least 0.
        bias_scale: Share of the bias that held-out clicks confirm, at least 0.
        log_loss_without: Log-loss of the held-out rows by items alone, nats.
        log_loss: Log-loss with scaled tastes.
        log_loss_in_sample: Log-loss of the rows that tastes were fitted on: lower than
            ``log_loss`` by what is memorised.
    """

    held_out: str
    n_slates: int
    precision: float
    vector_scale: float
    bias_scale: float
    log_loss_without: float
    log_loss: float
    log_loss_in_sample: float


@dataclass(frozen=True)
class UserTastes:
    """The tastes of a log's users.

    Attributes:
        items: Vectors and log-odds of items and the prior precision.
        tastes: (user, size + 1) float64. Zero for users without rows.
        scales: (size + 1,) float64. What tastes are multiplied with before they count.
        report: What held-out rows said.
    """

    items: ItemTastes
    tastes: NDArray[np.float64]
    scales: NDArray[np.float64]
    report: TasteReport

    def log_odds(self, log: SlateLog) -> NDArray[np.float64]:
        """Return (row, slate) float64: what users' tastes add to the log-odds of a log's items."""
        parts = self.items.personal_parts(self.tastes * self.scales, log.users, log.slates)
        return np.asarray(parts.sum(axis=-1))

    def inferred_from(self, log: SlateLog) -> UserTastes:
        """Return the tastes that follow from other rows, with the same items."""
        feedback = Feedback.from_log(log, len(self.tastes))
        return replace(self, tastes=infer_tastes(self.items, feedback))


class TasteFit:
    """Fits tastes of one width to rows of logs of the same users and items.

    Args:
        config: Width, folds and what counts as a later visit.
        n_users: Users, the padding row included.
        n_items: Number of real items.
        seed: Seed of the starting vectors.
    """

    def __init__(self, config: UserTasteConfig, n_users: int, n_items: int, seed: int) -> None:
        self._config = config
        self._n_users = n_users
        self._n_items = n_items
        self._seed = seed

    def choose(self, log: SlateLog) -> TasteReport:
        """Return the precision and scales that serve held-out rows of the same users best."""
        held_out = hold_out_visits(log, self._config.visit_gap_days * SECONDS_PER_DAY)
        kind = "visits"
        if held_out.sum() * log.slate_size < FEWEST_HELD_OUT:
            held_out, kind = hold_out_latest(log, LATEST_SHARE), "latest"
        if not held_out.any():
            return TasteReport("none", 0, PRECISIONS[-1], 0.0, 0.0, np.nan, np.nan, np.nan)
        rest, judged = log.select(~held_out), log.select(held_out)
        tried: dict[int, tuple[float, ItemTastes, NDArray[np.float64]]] = {}

        def loss(place: int) -> float:
            if not 0 <= place < len(PRECISIONS):
                return np.inf
            if place not in tried:
                items = self._fit_items(rest, PRECISIONS[place])
                tastes = infer_tastes(items, Feedback.from_log(rest, self._n_users))
                tried[place] = (_plain_loss(items, tastes, judged), items, tastes)
            return tried[place][0]

        best = FIRST_PRECISION
        direction = 1 if loss(best + 1) < loss(best) else -1
        while loss(best + direction) < loss(best):
            best += direction
        _, items, tastes = tried[best]
        return _judge(kind, items, tastes, rest, judged)

    def fit(self, log: SlateLog, report: TasteReport) -> UserTastes:
        """Return the tastes of a log's users as ``choose`` wants them, from all their rows."""
        items = self._fit_items(log, report.precision)
        return UserTastes(
            items,
            infer_tastes(items, Feedback.from_log(log, self._n_users)),
            _scales(items, report),
            report,
        )

    def cross_fit(self, log: SlateLog, report: TasteReport) -> NDArray[np.float32]:
        """Return what tastes add to the log-odds of each row, from fits that never saw the row.

        Returns:
            (row, slate) float32. Users' rows go to the folds in turn, by time.
        """
        folds = _ranks(log) % self._config.n_folds
        personal = np.zeros(log.slates.shape, dtype=np.float32)
        for fold in np.unique(folds):
            own = folds == fold
            if not own.all():
                personal[own] = self.fit(log.select(~own), report).log_odds(log.select(own))
        return personal

    def _fit_items(self, log: SlateLog, precision: float) -> ItemTastes:
        counts = count_items(log, self._n_items)
        average, differences = click_log_odds(counts.clicks, counts.exposures)
        vectors = taste_vectors(log, counts, self._n_items + 1, self._config.size, self._seed)
        shrinkage = np.r_[np.full(vectors.shape[1], precision), precision * BIAS_SHARE]
        start = ItemTastes(vectors * START_SPREAD, average + differences, shrinkage)
        return fit_item_tastes(Feedback.from_log(log, self._n_users), start, N_SWEEPS)


def hold_out_visits(log: SlateLog, gap: float) -> NDArray[np.bool_]:
    """Return which rows belong to the last visit of a user who has been there before.

    A mood lasts for a visit, a taste for longer. What is learned in one visit and holds in another
    is what a session that starts later can count on.

    Args:
        log: Rows in any order.
        gap: Time between two rows of a user that makes them two visits, in the log's unit.

    Returns:
        (row,) bool. False for users with one visit.
    """
    order = np.lexsort((log.timestamps, log.users))
    users, times = log.users[order], log.timestamps[order]
    begins = np.ones(len(log), dtype=bool)
    begins[1:] = (users[1:] != users[:-1]) | (np.diff(times) > gap)
    visits = np.cumsum(begins)
    first, last = (np.searchsorted(users, users, side) for side in ("left", "right"))
    held_out = np.zeros(len(log), dtype=bool)
    held_out[order] = (visits == visits[last - 1]) & (visits != visits[first])
    return held_out


def hold_out_latest(log: SlateLog, share: float) -> NDArray[np.bool_]:
    """Return which rows are the latest ones of a user with two rows or more.

    Args:
        log: Rows in any order.
        share: Of each user's rows; one row at least, and never all of them.

    Returns:
        (row,) bool.
    """
    counts = np.bincount(log.users)
    wanted = np.minimum(np.maximum(np.round(counts * share), 1), np.maximum(counts - 1, 0))
    return np.asarray(_ranks(log) >= (counts - wanted)[log.users])


def _ranks(log: SlateLog) -> NDArray[np.int64]:
    """Return (row,) int64: how many earlier rows its user has; ties go by row number."""
    order = np.lexsort((log.timestamps, log.users))
    users = log.users[order]
    ranks = np.empty(len(log), dtype=np.int64)
    ranks[order] = np.arange(len(log)) - np.searchsorted(users, users)
    return ranks


def _plain_loss(items: ItemTastes, tastes: NDArray[np.float64], judged: SlateLog) -> float:
    """Return the log-loss of held-out rows with tastes as they are and the level they want.

    The level drifts with time, for which no taste is to blame.
    """
    parts = items.personal_parts(tastes, judged.users, judged.slates)
    log_odds = items.log_odds[judged.slates] + parts.sum(axis=-1)
    _, shift = fit_part_scales(log_odds, np.zeros((*log_odds.shape, 0)), judged.labels)
    return log_loss(log_odds + shift, judged.labels)


def _judge(
    kind: str,
    items: ItemTastes,
    tastes: NDArray[np.float64],
    rest: SlateLog,
    judged: SlateLog,
) -> TasteReport:
    """Return what held-out rows say of tastes, scaled as these rows want it."""
    parts = items.personal_parts(tastes, judged.users, judged.slates)
    base = items.log_odds[judged.slates]
    scales, shift = fit_part_scales(base, parts, judged.labels)
    in_sample = items.personal_parts(tastes, rest.users, rest.slates) @ scales
    return TasteReport(
        held_out=kind,
        n_slates=len(judged),
        precision=float(items.precision[0]),
        vector_scale=float(scales[0]),
        bias_scale=float(scales[1]),
        log_loss_without=log_loss(base + shift, judged.labels),
        log_loss=log_loss(base + shift + parts @ scales, judged.labels),
        log_loss_in_sample=log_loss(items.log_odds[rest.slates] + in_sample, rest.labels),
    )


def _scales(items: ItemTastes, report: TasteReport) -> NDArray[np.float64]:
    size = items.vectors.shape[1]
    return np.array([report.vector_scale] * size + [report.bias_scale])
