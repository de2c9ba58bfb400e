"""Acting in the training sessions, keeping what happened, and drawing what to learn from next."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

from hsrl_pipeline.agents.base import Agent, Bootstrap
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.replay_buffer import ReplayBuffer
from hsrl_pipeline.replay.transitions import TransitionBatch
from hsrl_pipeline.seeding import torch_generator
from hsrl_pipeline.simulator.rewards import slate_reward
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.training.exposure import ExposureMeter

RANDOM_STREAM = "training.explore"
REPLAY_STREAM = "training.replay"
NEXT_OBSERVATION_KEY = "successor"
"""Name of the next observation in checkpoints, kept so that those of earlier versions resume."""


class Experience(NamedTuple):
    """What one update learns from.

    Attributes:
        batch: Transitions.
        bootstrap: Values of their next observations.
    """

    batch: TransitionBatch
    bootstrap: Bootstrap


class Collector:
    """Lets a twin of the agent explore in the sessions, one step of all of them at a time.

    The twin has the agent's weights as of ``sync_weights``. It acts and values next observations,
    so that ``advance`` may run while the agent itself is updated.

    Args:
        agent: The learner.
        sessions: Training environment.
        batch_size: Transitions per update.
        buffer_size: Transitions kept for an agent that replays; one that learns from the newest
            needs no more than those.
        expected_feedback: Keep click probabilities and their reward in place of the drawn ones;
            sessions go on with the drawn clicks in either case.
        seed: Seed of the run.
        device: Where agent and sessions live.
    """

    def __init__(
        self,
        agent: Agent,
        sessions: SlateSessions,
        *,
        batch_size: int,
        buffer_size: int,
        expected_feedback: bool = False,
        seed: int,
        device: torch.device,
    ) -> None:
        self._twin = agent.twin()
        self._sessions = sessions
        self._batch_size = batch_size
        self._expected_feedback = expected_feedback
        self._takes_newest = agent.experience == "fresh"
        self._generator = torch_generator(seed, RANDOM_STREAM, str(device))
        self._experience: Experience | None = None
        capacity = max(batch_size, sessions.batch_size) if self._takes_newest else buffer_size
        self.buffer = ReplayBuffer(
            capacity, torch_generator(seed, REPLAY_STREAM, str(device)), device
        )
        self.exposure = ExposureMeter(sessions.batch_size, sessions.n_items, device)

    @property
    def experience(self) -> Experience:
        """What the next update learns from."""
        if self._experience is None:
            self._experience = self._draw()
        return self._experience

    def advance(self) -> None:
        """Act once in every session, then draw what the update after the present one needs."""
        self._step()
        self._experience = self._draw()

    def sync_weights(self, agent: Agent) -> None:
        """Take over the agent's weights."""
        self._twin.copy_weights_of(agent)

    def renew_twin(self, agent: Agent) -> None:
        """Act as a new twin of the agent, whose tables have changed.

        What was drawn for the next update stays: its slates may hold items that have left.
        """
        self._twin = agent.twin()

    def warm_up(self, n_transitions: int) -> None:
        """Act until at least ``n_transitions`` were stored."""
        for _ in range(math.ceil(n_transitions / self._sessions.batch_size)):
            self._step()

    def state_dict(self) -> dict[str, Any]:
        """Return sessions, buffer, what was drawn, figures and random state."""
        experience = self.experience  # drawing, if it is due, moves the buffer's random state
        return {
            "sessions": self._sessions.state_dict(),
            "buffer": self.buffer.state_dict(),
            "batch": _plain(experience.batch),
            "bootstrap": tuple(experience.bootstrap),
            "exposure": self.exposure.state_dict(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any], agent: Agent) -> None:
        """Restore what ``state_dict`` returned; ``agent`` is restored already."""
        self._sessions.load_state_dict(state["sessions"])
        self.buffer.load_state_dict(state["buffer"])
        device = self._sessions.device
        values = [value.to(device) for value in state["bootstrap"]]
        self._experience = Experience(_transitions(state["batch"], device), Bootstrap(*values))
        self.exposure.load_state_dict(state["exposure"])
        self._generator.set_state(state["generator"].cpu())
        self.sync_weights(agent)

    def _step(self) -> None:
        observation = self._sessions.observation
        action = self._twin.act(observation, explore=True, generator=self._generator)
        result = self._sessions.step(action.slates)
        clicks, reward = result.clicks, result.reward
        if self._expected_feedback:
            clicks = result.probabilities
            rule = self._sessions.rules.reward
            expected = slate_reward(clicks, rule.miss_penalty, rule.sweet_point)
            reward = expected.to(torch.float32)
        self.buffer.add(
            TransitionBatch(
                observation,
                action.slates,
                clicks,
                reward,
                result.next_observation,
                result.terminated,
                result.truncated,
                action.latent_action,
                action.log_prob,
            )
        )
        self.exposure.record(action.slates, result)

    def _draw(self) -> Experience:
        take = self.buffer.newest if self._takes_newest else self.buffer.sample
        batch = take(self._batch_size)
        return Experience(batch, self._twin.bootstrap(batch))


def _plain(batch: TransitionBatch) -> dict[str, Any]:
    """Return a batch in types that a checkpoint can hold."""
    plain = batch._asdict()
    next_observation = plain.pop("next_observation")
    pair = {"observation": tuple(batch.observation), NEXT_OBSERVATION_KEY: tuple(next_observation)}
    return plain | pair


def _transitions(plain: dict[str, Any], device: torch.device) -> TransitionBatch:
    """Return the batch that ``_plain`` took apart."""
    fields: dict[str, Any] = {
        name: Observation(*value).to(device) if isinstance(value, tuple) else value.to(device)
        for name, value in plain.items()
    }
    return TransitionBatch(next_observation=fields.pop(NEXT_OBSERVATION_KEY), **fields)
