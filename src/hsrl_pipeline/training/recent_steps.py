"""The last steps of all sessions: what the oldest of them led to is known for several steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import torch

from hsrl_pipeline.agents.base import Bootstrap
from hsrl_pipeline.losses.returns import lambda_return
from hsrl_pipeline.replay.transitions import TransitionBatch, from_plain, to_plain


class RecentSteps:
    """A window of steps that moves on by one; its oldest step is learned from, once.

    The next observations of a step are valued once, when the step is new. While the window moves
    over them these values stay as they are, so that the oldest are as many updates old as the
    window has further steps.

    Args:
        n_steps: Steps in the window, at least 1; with 1 all is as without a window.
        gamma: Discount of the agent's value targets.
        decay: Lambda in [0, 1] of the truncated lambda-return over the window.
    """

    def __init__(self, n_steps: int, *, gamma: float, decay: float) -> None:
        self.n_steps = n_steps
        self._gamma, self._decay = gamma, decay
        self._steps: deque[TransitionBatch] = deque()
        self._values: deque[Bootstrap] = deque()

    def add(self, step: TransitionBatch) -> None:
        """Take in one step of all sessions, and let go of the oldest when there are too many.

        Args:
            step: Transitions; a row is the same parallel session in every step.
        """
        self._steps.append(step)
        if len(self._steps) > self.n_steps:
            self._steps.popleft()
            if self._values:
                self._values.popleft()

    def oldest(
        self, value: Callable[[TransitionBatch], Bootstrap]
    ) -> tuple[TransitionBatch, Bootstrap]:
        """Return the oldest step and its lambda-return over the steps of the window.

        Args:
            value: Values the next observations of steps that have not been valued yet.

        Returns:
            The transitions, and their target with the encoded next observations.

        Raises:
            ValueError: The window is not full yet.
        """
        if len(self._steps) < self.n_steps:
            raise ValueError(f"the window holds {len(self._steps)} of {self.n_steps} steps")
        while len(self._values) < len(self._steps):
            self._values.append(value(self._steps[len(self._values)]))
        target = lambda_return(
            torch.stack([step.reward for step in self._steps]),
            torch.stack([values.td_target for values in self._values]),
            torch.stack([step.terminated | step.truncated for step in self._steps]),
            self._gamma,
            self._decay,
        )
        return self._steps[0], self._values[0]._replace(td_target=target)

    def state_dict(self) -> dict[str, Any]:
        """Return the steps of the window and the values they have."""
        return {
            "steps": [to_plain(step) for step in self._steps],
            "values": [tuple(values) for values in self._values],
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore what ``state_dict`` returned."""
        self._steps = deque(from_plain(step, device) for step in state["steps"])
        self._values = deque(
            Bootstrap(*(part.to(device) for part in values)) for values in state["values"]
        )
