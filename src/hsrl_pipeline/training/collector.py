"""Acting in the training sessions and keeping what happened."""

from __future__ import annotations

from typing import Any

import torch

from hsrl_pipeline.agents.base import Agent
from hsrl_pipeline.replay.replay_buffer import ReplayBuffer
from hsrl_pipeline.replay.transitions import TransitionBatch
from hsrl_pipeline.seeding import torch_generator
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.training.exposure import ExposureMeter

RANDOM_STREAM = "training.explore"
REPLAY_STREAM = "training.replay"


class Collector:
    """Lets an agent explore in the sessions, one step of all of them at a time.

    Args:
        agent: Acts, sampling from its policy.
        sessions: Training environment.
        buffer_size: Transitions kept.
        seed: Seed of the run.
        device: Where agent and sessions live.
    """

    def __init__(
        self,
        agent: Agent,
        sessions: SlateSessions,
        buffer_size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self._agent = agent
        self._sessions = sessions
        self._generator = torch_generator(seed, RANDOM_STREAM, str(device))
        self.buffer = ReplayBuffer(
            buffer_size, torch_generator(seed, REPLAY_STREAM, str(device)), device
        )
        self.exposure = ExposureMeter(sessions.batch_size, sessions.n_items, device)

    def step(self) -> None:
        """Act once in every session and store the transitions."""
        observation = self._sessions.observation
        action = self._agent.act(observation, explore=True, generator=self._generator)
        result = self._sessions.step(action.slates)
        self.buffer.add(
            TransitionBatch(
                observation,
                action.slates,
                result.clicks,
                result.reward,
                result.successor,
                result.terminated,
                result.truncated,
                action.latent_action,
                action.log_prob,
            )
        )
        self.exposure.record(action.slates, result)

    def warm_up(self, n_transitions: int) -> None:
        """Act until the buffer holds at least ``n_transitions``, or is full."""
        while len(self.buffer) < min(n_transitions, self.buffer.capacity):
            self.step()

    def state_dict(self) -> dict[str, Any]:
        """Return sessions, buffer, figures and random state."""
        return {
            "sessions": self._sessions.state_dict(),
            "buffer": self.buffer.state_dict(),
            "exposure": self.exposure.state_dict(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self._sessions.load_state_dict(state["sessions"])
        self.buffer.load_state_dict(state["buffer"])
        self.exposure.load_state_dict(state["exposure"])
        self._generator.set_state(state["generator"].cpu())
