"""A judge that is no model: what people really answered to every item.

Nothing is learned and nothing is random: a person clicks on an item if, and only if, that person's
recorded answer to it was positive. This can judge policies, but nobody may learn from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.shapes import PAD_ID, check_shape
from hsrl_pipeline.simulator.response.base import Newcomers, UserResponseModel

CERTAIN = 200.0
"""Log-odds of a sure click: float32 turns them into exactly 1, and their negative into exactly 0,
while minus infinity stays what marks items that may not be shown."""

REMEDY = (
    "Use simulator.eval=model, or place the answers of these users to every item of the catalogue "
    "(docs/data_sources.md) and run the ingestion pipeline again."
)


class RecordedResponse(UserResponseModel):
    """Recorded answers as click probabilities of 0 and 1.

    Who is asked can't be told from features and history, so observations come with the number of
    the user; see `with_user_numbers`. Policies never get to see it.

    Args:
        answers: (person, item) int8. 1 for a positive answer, 0 for another; column 0 is padding.
        users: (person,) int64. User index of each row, at least 1, all different.
        history_size: Length of the history window, kept for callers.
    """

    identified = True
    log_odds: torch.Tensor
    users: torch.Tensor
    rows: torch.Tensor

    def __init__(self, answers: torch.Tensor, users: torch.Tensor, history_size: int) -> None:
        super().__init__()
        check_shape("answers", answers, len(users), None)
        self.n_items = answers.shape[1] - 1
        self.history_size = history_size
        log_odds = torch.where(answers > 0, CERTAIN, -CERTAIN)
        log_odds[:, PAD_ID] = -torch.inf
        rows = torch.full((int(users.max()) + 1,), -1, dtype=torch.int64)
        rows[users] = torch.arange(len(users))
        self.register_buffer("log_odds", log_odds, persistent=False)
        self.register_buffer("users", users.clone(), persistent=False)
        self.register_buffer("rows", rows, persistent=False)

    def logits(
        self,
        user_categories: torch.Tensor,
        user_dense: torch.Tensor,
        history: torch.Tensor,
        slates: torch.Tensor,
    ) -> torch.Tensor:
        """Return sure log-odds of the users whose numbers stand in the last numeric feature."""
        return self._answers(user_dense).gather(1, slates)

    def scores_all(self, observation: Observation) -> torch.Tensor:
        """Return sure log-odds of every item; see the base class."""
        return self._answers(observation.user_dense)

    def introduced(self, newcomers: Newcomers) -> RecordedResponse:
        """Return the answers under the numbers of newcomers too; see the base class."""
        again = RecordedResponse(self.log_odds > 0, self.users, self.history_size)
        unused = self.rows.new_full((newcomers.first - len(self.rows),), -1)
        again.rows = torch.cat([self.rows, unused, self.rows[newcomers.users]])
        return again.freeze()

    def _answers(self, user_dense: torch.Tensor) -> torch.Tensor:
        """Return (batch, item) float32 log-odds of identified users.

        Raises:
            ValueError: The answers of a user are not recorded.
        """
        numbers = user_dense[:, -1].to(torch.int64)
        rows = self.rows[numbers.clamp(0, len(self.rows) - 1)]
        unknown = (rows < 0) | (numbers < 0) | (numbers >= len(self.rows))
        if bool(unknown.any()):
            user = int(numbers[unknown][0])
            raise ValueError(f"the answers of user {user} are not recorded")
        return self.log_odds[rows]


def with_user_numbers(observation: Observation, users: torch.Tensor) -> Observation:
    """Return an observation with the user index as one more numeric feature, the last.

    Args:
        observation: (batch, ...) sessions.
        users: (batch,) int64. User indices below 2^24, which float32 holds exactly.
    """
    numbers = users.to(observation.user_dense.dtype)[:, None]
    return observation._replace(user_dense=torch.cat([observation.user_dense, numbers], dim=1))


@dataclass(frozen=True)
class KnownBefore:
    """What is known of people before their sessions: all that the log holds of them.

    Attributes:
        history_start: (person,) int64. First entry of each person in the log's timeline.
        history_end: (person,) int64. End, exclusive, of what the person liked in logged slates.
        seen: (person, seen) int64. Items that the person was shown in logged slates, filled up
            with PAD_ID.
        shown_start: (person,) int64. First entry of each person in the log's timeline of shown
            items; 0 where the log has none.
        shown_end: (person,) int64. End, exclusive, of what logged slates showed the person.
    """

    history_start: NDArray[np.int64]
    history_end: NDArray[np.int64]
    seen: NDArray[np.int64]
    shown_start: NDArray[np.int64]
    shown_end: NDArray[np.int64]

    @classmethod
    def from_log(cls, log: SlateLog, users: NDArray[np.int64]) -> KnownBefore:
        """Return what a log holds of some users; nothing of those without a slate."""
        order = np.argsort(log.users, kind="stable")
        first, last = (np.searchsorted(log.users[order], users, side) for side in ("left", "right"))
        rows = [order[start:end] for start, end in zip(first, last, strict=True)]
        seen = [np.unique(log.slates[own]) for own in rows]
        padded = np.full((len(users), max(map(len, seen), default=0)), PAD_ID, np.int64)
        for place, items in enumerate(seen):
            padded[place, : len(items)] = items
        ends = log.history_end + log.labels.sum(axis=1)
        nothing = np.zeros(len(log), np.int64)
        shown_starts = nothing if log.shown is None else log.shown.start
        shown_ends = nothing if log.shown is None else log.shown.end + log.slate_size
        return cls(
            np.array([log.history_start[own].min() if len(own) else 0 for own in rows]),
            np.array([ends[own].max(initial=0) for own in rows]),
            padded,
            np.array([shown_starts[own].min() if len(own) else 0 for own in rows]),
            np.array([shown_ends[own].max(initial=0) for own in rows]),
        )


def record_answers(
    recorded_answers: pd.DataFrame | None,
    users: pd.DataFrame,
    items: pd.DataFrame,
    *,
    history_size: int,
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the checkpoint of a simulator that answers as people did.

    Args:
        recorded_answers: Canonical table: ``user_index``, ``item_index``, ``label``; None if there
            is no such table.
        users: Canonical table.
        items: Canonical table.
        history_size: Window length H.
        provenance: JSON-able facts to keep in the config.

    Returns:
        ``{"config": ..., "state": ...}`` for ``build_response_model`` and ``CheckpointDataset``.

    Raises:
        UserError: Nobody's answers are recorded, or an answer to an item of the catalogue is
            missing; names user and item.
    """
    if recorded_answers is None or recorded_answers.empty:
        raise UserError(
            "simulator.eval is recorded, but nobody's answers are recorded for this dataset",
            where="simulator.eval, table recorded_answers",
            remedy=REMEDY,
        )
    people, rows = np.unique(recorded_answers["user_index"].to_numpy(), return_inverse=True)
    answers = np.full((len(people), len(items) + 1), -1, np.int8)
    answers[:, PAD_ID] = 0
    answers[rows, recorded_answers["item_index"]] = recorded_answers["label"]
    missing = np.argwhere(answers < 0)
    if len(missing):
        person, item = missing[0]
        user_id = users.set_index("user_index")["user_id"][people[person]]
        item_id = items.set_index("item_index")["item_id"][item]
        raise UserError(
            f"The answer of user {user_id!r} to item {item_id!r} is not recorded; of "
            f"{len(people)} x {len(items)} answers {len(missing)} are missing",
            where=f"table recorded_answers, user_id {user_id!r}, item_id {item_id!r}",
            remedy=REMEDY,
        )
    config = {"kind": "recorded", "history_size": history_size, **provenance, "holdout": []}
    return {"config": config, "state": {"answers": answers, "users": people.astype(np.int64)}}


def build_recorded_response(checkpoint: Mapping[str, Any]) -> RecordedResponse:
    """Return the simulator of a checkpoint as `record_answers` makes it."""
    state = {name: torch.as_tensor(value) for name, value in checkpoint["state"].items()}
    return RecordedResponse(state["answers"], state["users"], checkpoint["config"]["history_size"])


def log_recorded_answers(log: SlateLog, response: RecordedResponse, slate_size: int) -> SlateLog:
    """Return recorded answers as slates, each with the history that sessions start with.

    Args:
        log: The log whose timeline holds the histories.
        response: The recorded answers.
        slate_size: Items per slate (K).

    Returns:
        One row per K items that a person was not shown before, by item index; what is left over
        belongs to no row. No row is training data.
    """
    users = response.users.cpu().numpy()
    known = KnownBefore.from_log(log, users)
    answers = (response.log_odds.cpu().numpy() > 0).astype(np.int8)
    every = np.arange(1, response.n_items + 1)
    fresh = [np.setdiff1d(every, seen) for seen in known.seen]
    slates = [items[: len(items) // slate_size * slate_size] for items in fresh]
    slates = [items.reshape(-1, slate_size) for items in slates]
    owners = np.repeat(np.arange(len(users)), [len(part) for part in slates])
    shown = np.concatenate(slates)
    return SlateLog(
        slates=shown.astype(np.int32),
        labels=answers[owners[:, None], shown],
        users=users[owners].astype(np.int32),
        timestamps=np.zeros(len(owners), np.int64),
        is_train=np.zeros(len(owners), bool),
        history_start=known.history_start[owners],
        history_end=known.history_end[owners],
        timeline=log.timeline,
    )
