"""The parts of a log whose propensities are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.evaluation.logged_starts import draw_rows


@dataclass(frozen=True)
class PropensityLog:
    """Shown items with the probability that the log showed them, round by round.

    Attributes:
        name: ``test_slots``: each slot of the test slates is a draw with a propensity of its own.
            ``training_pairs``: each person is one round, and propensities say how likely each item
            was to be among all that the training split holds of the person.
        rounds: One slate per round: the user, and the history before.
        slots: Draws per round.
        events: (event,) int64. Round of each event, in ascending order.
        items: (event,) int64. Items in ``[1, n_items]``.
        clicks: (event,) float64. 1 for a click, else 0.
        propensities: (event,) float64. In (0, 1].
    """

    name: str
    rounds: SlateLog
    slots: int
    events: NDArray[np.int64]
    items: NDArray[np.int64]
    clicks: NDArray[np.float64]
    propensities: NDArray[np.float64]


def propensity_logs(
    log: SlateLog, pairs: pd.DataFrame | None, *, most: int, seed: int
) -> list[PropensityLog]:
    """Return the parts of a log whose propensities are known, none where there are no such parts.

    Args:
        log: Both splits.
        pairs: The table ``propensities``; None when there is none.
        most: Rounds of a part at most; of more, some are drawn.
        seed: Seed of the draw.
    """
    parts = [_test_slots(log.test, most, seed)]
    if pairs is not None and len(pairs):
        parts.append(_training_pairs(log.train, pairs, most, seed))
    return [part for part in parts if part is not None]


def _test_slots(test: SlateLog, most: int, seed: int) -> PropensityLog | None:
    """Return the test slates all of whose slots have a propensity."""
    if test.propensities is None:
        return None
    rounds = test.select(np.flatnonzero(np.isfinite(test.propensities).all(axis=1)))
    if not len(rounds) or rounds.propensities is None:
        return None
    rounds = draw_rows(rounds, most, seed)
    assert rounds.propensities is not None  # as before the draw
    return PropensityLog(
        "test_slots",
        rounds,
        rounds.slate_size,
        np.repeat(np.arange(len(rounds)), rounds.slate_size),
        rounds.slates.ravel().astype(np.int64),
        rounds.labels.ravel().astype(np.float64),
        rounds.propensities.ravel().astype(np.float64),
    )


def _training_pairs(
    train: SlateLog, pairs: pd.DataFrame, most: int, seed: int
) -> PropensityLog | None:
    """Return the training answers of people whose propensities are known.

    A person's round has the history before the first training slate. Of an item that a person was
    shown more than once, the first answer counts.
    """
    width = int(max(train.slates.max(initial=0), pairs["item_index"].max())) + 1
    known = pairs["user_index"].to_numpy(np.int64) * width + pairs["item_index"].to_numpy(np.int64)
    order = np.argsort(known)
    known, chances = known[order], pairs["propensity"].to_numpy(np.float64)[order]
    by_time = np.argsort(train.timestamps, kind="stable")
    train = train.select(by_time)
    people, first = np.unique(train.users, return_index=True)
    has_propensities = np.isin(people, pairs["user_index"].to_numpy())
    rounds = train.select(first[has_propensities])
    if not len(rounds):
        return None
    rounds = draw_rows(rounds, most, seed)
    owner = np.repeat(train.users.astype(np.int64), train.slate_size)
    key = owner * width + train.slates.ravel()
    key, place = np.unique(key, return_index=True)
    found = np.minimum(np.searchsorted(known, key), len(known) - 1)
    of_round = np.searchsorted(rounds.users, key // width)
    of_round = np.minimum(of_round, len(rounds) - 1)
    kept = (known[found] == key) & (rounds.users[of_round] == key // width)
    return PropensityLog(
        "training_pairs",
        rounds,
        1,
        of_round[kept],
        key[kept] % width,
        train.labels.ravel()[place[kept]].astype(np.float64),
        chances[found[kept]],
    )
