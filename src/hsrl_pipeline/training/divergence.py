"""Stops a training whose losses or weights are not finite numbers any more."""

from __future__ import annotations

from hsrl_pipeline.agents.base import Agent
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.training.curves import Curves


class DivergenceCheck:
    """Refuses losses and weights that are not finite numbers.

    Args:
        agent: The learner.
        curves: Losses of its updates.
        metrics_every: Iterations between two looks at the losses, for the message.
    """

    def __init__(self, agent: Agent, curves: Curves, metrics_every: int) -> None:
        self._agent = agent
        self._curves = curves
        self._metrics_every = metrics_every

    def check_losses(self, iteration: int) -> None:
        """Refuse to go on with a loss that is not a finite number.

        Args:
            iteration: Updates so far.

        Raises:
            UserError: Names the figure.
        """
        name = self._curves.first_not_finite()
        if name is not None:
            raise self._not_finite(name, iteration)

    def check_state(self, iteration: int) -> None:
        """Refuse to keep a state that training could not go on from.

        Args:
            iteration: Updates so far.

        Raises:
            UserError: Names the figure or the weight.
        """
        self.check_losses(iteration)
        for name, weight in self._agent.policy_state().items():
            if weight.is_floating_point() and not bool(weight.isfinite().all()):
                raise self._not_finite(f"weight {name}", iteration)

    def _not_finite(self, name: str, iteration: int) -> UserError:
        return UserError(
            f"Training {self._agent.name} broke down: {name} is not a finite number",
            where=f"iteration {iteration} or the {self._metrics_every} before it",
            remedy="The last good checkpoint is kept. Lower training.learning_rate.",
        )
