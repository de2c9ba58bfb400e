"""Acting in the training sessions, keeping what happened, and drawing what to learn from next."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

from hsrl_pipeline.agents.base import Agent, Bootstrap
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.replay_buffer import ReplayBuffer
from hsrl_pipeline.replay.transitions import JudgedSlates, TransitionBatch, from_plain, to_plain
from hsrl_pipeline.seeding import torch_generator
from hsrl_pipeline.simulator.rewards import slate_reward
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.training.exposure import ExposureMeter
from hsrl_pipeline.training.recent_steps import RecentSteps

RANDOM_STREAM = "training.explore"
REPLAY_STREAM = "training.replay"


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
        return_steps: Steps whose rewards enter a target, for an agent of fresh transitions; above
            1 it learns from one whole step of all sessions at a time, and ``batch_size`` is theirs.
        return_decay: Lambda over these steps.
        disagreement_penalty: How many standard deviations of the simulator's members are taken
            off each kept click probability; needs sessions that measure them.
        seed: Seed of the run.
        device: Where agent and sessions live.

    Raises:
        ValueError: ``return_steps`` is above 1 for an agent that replays, or the agent learns from
            judged slates without expected feedback, or there is a penalty on disagreement without
            it or without sessions that measure it.
    """

    def __init__(
        self,
        agent: Agent,
        sessions: SlateSessions,
        *,
        batch_size: int,
        buffer_size: int,
        expected_feedback: bool = False,
        return_steps: int = 1,
        return_decay: float = 1.0,
        disagreement_penalty: float = 0.0,
        seed: int,
        device: torch.device,
    ) -> None:
        if disagreement_penalty and not (expected_feedback and sessions.measures_disagreement):
            raise ValueError(
                "a penalty on disagreement needs expected feedback and sessions that measure it"
            )
        self._twin = agent.twin()
        self._sessions = sessions
        self._batch_size = batch_size
        self._expected_feedback = expected_feedback
        self._disagreement_penalty = disagreement_penalty
        self._takes_newest = agent.experience == "fresh"
        self._recent: RecentSteps | None = None
        self._n_judged = agent.group_size - 1
        if self._n_judged and not expected_feedback:
            raise ValueError(f"agent {agent.name} learns from judged slates, feedback is sampled")
        if return_steps > 1 or self._n_judged:
            if not self._takes_newest:
                raise ValueError(f"agent {agent.name} knows no steps in a row, return_steps is set")
            self._recent = RecentSteps(return_steps, gamma=agent.gamma, decay=return_decay)
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

        What was drawn for the next update stays, and so do the recent steps with their values:
        their slates may hold items that have left.
        """
        self._twin = agent.twin()

    def warm_up(self, n_transitions: int) -> None:
        """Act until at least ``n_transitions`` were stored, and as many steps as a target needs."""
        needed = 1 if self._recent is None else self._recent.n_steps
        for _ in range(max(needed, math.ceil(n_transitions / self._sessions.batch_size))):
            self._step()

    def state_dict(self) -> dict[str, Any]:
        """Return sessions, buffer, what was drawn, figures and random state."""
        experience = self.experience  # drawing, if it is due, moves the buffer's random state
        state = {
            "sessions": self._sessions.state_dict(),
            "buffer": self.buffer.state_dict(),
            "batch": to_plain(experience.batch),
            "bootstrap": tuple(experience.bootstrap),
            "exposure": self.exposure.state_dict(),
            "generator": self._generator.get_state(),
        }
        if self._recent is not None:
            state["recent"] = self._recent.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any], agent: Agent) -> None:
        """Restore what ``state_dict`` returned; ``agent`` is restored already."""
        self._sessions.load_state_dict(state["sessions"])
        self.buffer.load_state_dict(state["buffer"])
        device = self._sessions.device
        values = [value.to(device) for value in state["bootstrap"]]
        self._experience = Experience(from_plain(state["batch"], device), Bootstrap(*values))
        if self._recent is not None:
            self._recent.load_state_dict(state["recent"], device)
        self.exposure.load_state_dict(state["exposure"])
        self._generator.set_state(state["generator"].cpu())
        self.sync_weights(agent)

    def _step(self) -> None:
        observation = self._sessions.observation
        action = self._twin.act(observation, explore=True, generator=self._generator)
        judged = self._judge(observation)
        result = self._sessions.step(action.slates)
        clicks, reward = result.clicks, result.reward
        if self._expected_feedback:
            clicks = self._expected_clicks(result.probabilities, result.disagreement)
            rule = self._sessions.rules.reward
            expected = slate_reward(clicks, rule.miss_penalty, rule.sweet_point)
            reward = expected.to(torch.float32)
        keep = self.buffer.add if self._recent is None else self._recent.add
        keep(
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
                judged,
            )
        )
        self.exposure.record(action.slates, result)

    def _judge(self, observation: Observation) -> JudgedSlates | None:
        """Draw further slates for the states that are acted in, and judge them."""
        if not self._n_judged:
            return None
        drawn = self._twin.act(
            observation.repeat(self._n_judged), explore=True, generator=self._generator
        )
        slates = drawn.slates.view(self._n_judged, observation.batch_size, -1)
        return JudgedSlates(slates, self._expected_clicks(*self._sessions.judge(slates)))

    def _expected_clicks(
        self, probabilities: torch.Tensor, disagreement: torch.Tensor | None
    ) -> torch.Tensor:
        """Return click probabilities less the penalty on what the members disagree on."""
        if disagreement is None:
            return probabilities
        return (probabilities - self._disagreement_penalty * disagreement).clamp(0.0, 1.0)

    def _draw(self) -> Experience:
        if self._recent is not None:
            return Experience(*self._recent.oldest(self._twin.bootstrap))
        take = self.buffer.newest if self._takes_newest else self.buffer.sample
        batch = take(self._batch_size)
        return Experience(batch, self._twin.bootstrap(batch))
