"""Seeded draws of logged slates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from hsrl_pipeline.agents.base import LogBatch
from hsrl_pipeline.config.session import SessionConfig
from hsrl_pipeline.data.slate_log import SlateLog, UserTable
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.seeding import torch_generator
from hsrl_pipeline.simulator.user_pool import UserPool

RANDOM_STREAM = "training.log"


class LogSampler:
    """Draws logged slates uniformly with replacement from the split it is given.

    Args:
        log: Logged slates; pass the training split alone.
        users: Features of every user of the log.
        session: Length and form of the history.
        seed: Seed of the run.
        device: Where batches are returned.

    Raises:
        UserError: The log has no slate.
    """

    def __init__(
        self,
        log: SlateLog,
        users: UserTable,
        session: SessionConfig,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        if not len(log):
            raise UserError(
                "There is no logged slate in the training split",
                where="slates",
                remedy="Check the split and the slate size of the ingestion.",
            )
        self._device = torch.device(device)
        pool = UserPool.from_log(log, users, session.history_size, session.history)
        self._pool = pool.to(self._device)
        self._slates = torch.tensor(log.slates, device=self._device)
        self._clicks = torch.tensor(log.labels, device=self._device)
        self._generator = torch_generator(seed, RANDOM_STREAM, str(self._device))

    def sample(self, batch_size: int) -> LogBatch:
        """Draw logged slates with what was known before them.

        Args:
            batch_size: Number of slates.
        """
        rows = torch.randint(
            len(self._slates), (batch_size,), generator=self._generator, device=self._device
        )
        return self._batch(rows)

    def __len__(self) -> int:
        return len(self._slates)

    def batches(self, batch_size: int) -> Iterator[LogBatch]:
        """Return all slates once, in the order of the log; draws are not touched."""
        for rows in torch.split(torch.arange(len(self), device=self._device), batch_size):
            yield self._batch(rows)

    def state_dict(self) -> dict[str, Any]:
        """Return the random state."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self._generator.set_state(state["generator"].cpu())

    def _batch(self, rows: torch.Tensor) -> LogBatch:
        return LogBatch(
            self._pool.observation(rows),
            self._slates[rows].long(),
            self._clicks[rows].to(torch.float32),
        )
