"""What policies are asked at the slates of a log: the first step of a session at each of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from hsrl_pipeline.agents.base import Policy
from hsrl_pipeline.data.slate_log import SlateLog, UserTable
from hsrl_pipeline.evaluation.rollouts import as_known_to
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.seeding import numpy_generator, torch_generator
from hsrl_pipeline.simulator.dynamics import SessionState
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.user_pool import UserPool


class LoggedStarts:
    """The users of logged slates as policies meet them there, batch by batch.

    A policy sees the user's features and the history before the slate, at step 0: nothing has been
    shown in the session, so that both regimes allow every item.

    Args:
        log: Slates, one start each.
        users: Features of every user of the log.
        sessions: Rules, sizes and device of the sessions.
        batch_size: Starts at once.
        seed: Seed of what policies draw.
    """

    def __init__(
        self,
        log: SlateLog,
        users: UserTable,
        sessions: SessionSetting,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        session = sessions.session
        pool = UserPool.from_log(log, users, session.history_size, session.history)
        self.batches = [
            np.arange(start, min(start + batch_size, len(log)))
            for start in range(0, len(log), batch_size)
        ]
        self._pool = pool.to(str(sessions.device))
        self._rules = sessions.session_rules()
        self._device = str(sessions.device)
        self._seed = seed

    def state(self, rows: np.ndarray) -> SessionState:
        """Return the first state of sessions at the given rows of the log."""
        index = torch.as_tensor(rows, device=self._device)
        return self._rules.start(self._pool.observation(index), self._pool.clicked(index))

    def told(
        self, reader: Policy | UserResponseModel, state: SessionState, rows: np.ndarray
    ) -> Observation:
        """Return what a policy or a response model is told of a state."""
        simulates = isinstance(reader, UserResponseModel) or getattr(reader, "simulates", False)
        view = state.simulator_view if simulates else state.observation
        users = self._pool.users[torch.as_tensor(rows, device=self._device)].to(torch.int64)
        return as_known_to(reader, view, users)

    def generator(self, purpose: str, rows: np.ndarray) -> torch.Generator:
        """Return the random stream of a batch, the same for every policy."""
        return torch_generator(self._seed, f"evaluation.{purpose}.{rows[0]}", self._device)


def draw_rows(log: SlateLog, most: int, seed: int) -> SlateLog:
    """Return all slates of a log, or as many as are wanted, drawn without replacement.

    Args:
        log: Logged slates.
        most: Slates wanted at most.
        seed: Seed of the draw.
    """
    if len(log) <= most:
        return log
    drawn = numpy_generator(seed, "evaluation.logged_slates").choice(len(log), most, replace=False)
    return log.select(np.sort(drawn))


def slates_one_after_another(
    policy: Policy, observation: Observation, n_slates: int, generator: torch.Generator
) -> Iterator[torch.Tensor]:
    """Yield a policy's slate, then its next best one without the items before, and so on.

    Args:
        policy: Acts greedily.
        observation: (batch, ...) sessions.
        n_slates: Slates wanted.
        generator: Random stream for a policy that is random by design.

    Yields:
        (batch, slate) int64.
    """
    for place in range(n_slates):
        slates = policy.act(observation, explore=False, generator=generator).slates
        yield slates
        if place + 1 < n_slates:
            shown = torch.cat([observation.shown, slates], dim=1)
            observation = observation._replace(shown=shown)
