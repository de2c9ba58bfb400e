"""Early stopping of agents that learn from the log alone, on slates held out of it."""

from __future__ import annotations

import logging
import math
from typing import Any, Protocol, runtime_checkable

import torch

from hsrl_pipeline.agents.base import LogBatch
from hsrl_pipeline.config.agents.sl import EarlyStoppingConfig
from hsrl_pipeline.training.log_sampler import LogSampler

logger = logging.getLogger(__name__)

BATCH_SIZE = 1024


@runtime_checkable
class StopsEarly(Protocol):
    """An agent that can be judged by a loss on slates it does not learn from."""

    name: str
    early_stopping: EarlyStoppingConfig

    def held_out_loss(self, log: LogBatch) -> torch.Tensor:
        """Return the 0-dim mean loss of slates, without dropout or gradient."""

    def policy_state(self) -> dict[str, torch.Tensor]:
        """Return the weights needed for acting alone."""

    def load_policy_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restore what ``policy_state`` returned."""


class EarlyStopping:
    """Keeps the weights of lowest held-out loss, and says when training should stop.

    A run can pass over its log many times, and its last weights then fit the chance of the log
    better than the users. The agent goes on learning from where it is, so a resumed run takes the
    same steps.

    Args:
        agent: The learner.
        held_out: Slates that it does not learn from.
    """

    def __init__(self, agent: StopsEarly, held_out: LogSampler) -> None:
        self._agent = agent
        self._held_out = held_out
        self._config = agent.early_stopping
        self._latest: float | None = None
        self._best_loss = math.inf
        self._best_iteration = 0
        self._best_weights: dict[str, torch.Tensor] | None = None
        self._checks_since = 0

    @property
    def finished(self) -> bool:
        """Whether the loss has not fallen for ``patience`` checks."""
        return self._checks_since >= self._config.patience

    def check(self, iteration: int) -> None:
        """Measure the held-out loss when it is time to.

        Args:
            iteration: Updates so far.
        """
        if iteration % self._config.check_every:
            return
        total = torch.zeros((), dtype=torch.float64)
        for batch in self._held_out.batches(BATCH_SIZE):
            total += self._agent.held_out_loss(batch).double().cpu() * len(batch.slates)
        self._latest = float(total) / len(self._held_out)
        if self._latest < self._best_loss:
            self._best_loss, self._best_iteration = self._latest, iteration
            self._best_weights = self._agent.policy_state()
            self._checks_since = 0
            return
        self._checks_since += 1
        if self.finished:
            logger.info(
                "%s stops at iteration %d: its loss on held-out slates was lowest at %d (%.4f)",
                self._agent.name,
                iteration,
                self._best_iteration,
                self._best_loss,
            )

    def read(self) -> dict[str, float]:
        """Return the loss measured since the last call, if one was."""
        latest, self._latest = self._latest, None
        return {} if latest is None else {"held_out_loss": latest}

    def start_over(self) -> None:
        """Judge anew, as if nothing had been judged: the catalogue has changed."""
        self._latest, self._best_loss, self._best_weights = None, math.inf, None
        self._checks_since = 0

    def restore(self) -> None:
        """Give the agent the weights that were best, if any were judged."""
        if self._best_weights is not None:
            self._agent.load_policy_state(self._best_weights)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {
            "latest": self._latest,
            "best_loss": self._best_loss,
            "best_iteration": self._best_iteration,
            "best_weights": self._best_weights,
            "checks_since": self._checks_since,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self._latest = state["latest"]
        self._best_loss = state["best_loss"]
        self._best_iteration = state["best_iteration"]
        self._best_weights = state["best_weights"]
        self._checks_since = state["checks_since"]
