"""Rows of a log as the tensors a response model reads, and its answers to them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hsrl_pipeline.data.slate_log import SlateLog, UserTable
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.response.ensemble import EnsembleResponse

PREDICTION_BATCH = 4096
"""Slates per forward pass when the log is only read."""


class ResponseBatch(NamedTuple):
    """Inputs of ``UserResponseModel.logits`` in order, and the logged answers.

    Attributes:
        user_categories: (batch, field) int64.
        user_dense: (batch, dense) float32.
        history: (batch, history) int64.
        slates: (batch, slate) int64.
        labels: (batch, slate) float32.
    """

    user_categories: torch.Tensor
    user_dense: torch.Tensor
    history: torch.Tensor
    slates: torch.Tensor
    labels: torch.Tensor


class ResponseRows:
    """A log with its users, cut into batches on demand.

    Args:
        log: Slates with labels and history pointers.
        users: Features of every user of the log.
        history_size: Window length H.

    Raises:
        UserError: A numeric user feature is not finite; names the user.
    """

    def __init__(self, log: SlateLog, users: UserTable, history_size: int) -> None:
        bad = np.argwhere(~np.isfinite(users.dense))
        if len(bad):
            user, column = (int(place) for place in bad[0])
            raise UserError(
                f"Numeric feature {column} of user {user} is {users.dense[user, column]}",
                where=f"users, user_index {user}",
                remedy="User features must be finite; run ingestion on a repaired file.",
            )
        self.log = log
        self.users = users
        self.history_size = history_size

    def __len__(self) -> int:
        return len(self.log)

    def batch(self, rows: NDArray[np.int64], *, identified: bool = False) -> ResponseBatch:
        """Return the tensors of some rows.

        Args:
            rows: (batch,) int64. Row numbers.
            identified: Whether the user index is one more numeric feature, the last.
        """
        users = self.log.users[rows]
        dense = self.users.dense[users]
        if identified:
            dense = np.concatenate([dense, users[:, None].astype(np.float32)], axis=1)
        return ResponseBatch(
            torch.from_numpy(self.users.categories[users]),
            torch.from_numpy(dense),
            torch.from_numpy(self.log.histories(rows, self.history_size)),
            torch.from_numpy(self.log.slates[rows].astype(np.int64)),
            torch.from_numpy(self.log.labels[rows].astype(np.float32)),
        )

    def disagreement(self, model: EnsembleResponse) -> float:
        """Return how far an ensemble's members lie apart, on average over all rows and items."""
        total = 0.0
        with torch.inference_mode():
            for start in range(0, len(self), PREDICTION_BATCH):
                rows = np.arange(start, min(start + PREDICTION_BATCH, len(self)))
                batch = self.batch(rows, identified=model.identified)
                observation = Observation(*batch[:3], torch.zeros(len(rows), dtype=torch.int64))
                total += float(model.disagreement(observation, batch.slates).sum())
        return total / self.log.slates.size

    def log_odds(self, model: UserResponseModel) -> NDArray[np.float32]:
        """Return a model's answers to every row: (row, slate) float32, without dropout."""
        was_training = model.training
        model.eval()
        answers = np.empty(self.log.slates.shape, dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(self), PREDICTION_BATCH):
                rows = np.arange(start, min(start + PREDICTION_BATCH, len(self)))
                batch = self.batch(rows, identified=model.identified)
                answers[rows] = model.logits(*batch[:4]).numpy()
        model.train(was_training)
        return answers
