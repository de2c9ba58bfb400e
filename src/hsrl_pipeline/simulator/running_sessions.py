"""The sessions that are going on at once: what they are at, and who is in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.dynamics import SessionRules, SessionState
from hsrl_pipeline.simulator.user_pool import UserPool


class RunningSessions(NamedTuple):
    """A batch of sessions; tensors that were handed out are never written to again.

    Attributes:
        state: All that a step changes.
        users: (batch,) int64. User index of each session; policies do not see it.
        numbers: (batch,) int64. What tells the simulator who a session's user is.
    """

    state: SessionState
    users: torch.Tensor
    numbers: torch.Tensor

    @classmethod
    def start(cls, rules: SessionRules, pool: UserPool, rows: torch.Tensor) -> RunningSessions:
        """Return new sessions.

        Args:
            rules: The constants of a session.
            pool: Users that sessions start with.
            rows: (batch,) int64. Row numbers of the pool.
        """
        state = rules.start(pool.observation(rows), pool.clicked(rows))
        return cls(state, pool.users[rows].to(torch.int64), pool.user_numbers(rows))

    def with_new(self, finished: torch.Tensor, fresh: RunningSessions) -> RunningSessions:
        """Return the sessions with new ones in place of finished ones.

        Args:
            finished: (finished,) int64. Which sessions have ended.
            fresh: As many new ones.
        """

        def replaced(field: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
            return field.index_copy(0, finished, new) if field.numel() else field

        state, new = self.state, fresh.state
        return RunningSessions(
            SessionState(
                Observation(*map(replaced, state.observation, new.observation)),
                replaced(state.patience, new.patience),
                replaced(state.showings, new.showings),
                replaced(state.clicked, new.clicked),
            ),
            replaced(self.users, fresh.users),
            replaced(self.numbers, fresh.numbers),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the tensors by name; those without entries are left out."""
        values = {
            "observation": tuple(self.state.observation),
            "patience": self.state.patience,
            "users": self.users,
            "numbers": self.numbers,
        }
        for name in ("showings", "clicked"):
            tensor = getattr(self.state, name)
            if tensor.numel():
                values[name] = tensor
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], device: torch.device) -> RunningSessions:
        """Return the sessions held in a dictionary as ``to_dict`` makes it.

        Args:
            values: May lack ``numbers``, where they are the user indices.
            device: Where the tensors will be.
        """
        observation = Observation(*values["observation"]).to(device)
        unused = observation.history.new_zeros((len(values["users"]), 0))
        state = SessionState(
            observation,
            values["patience"].to(device),
            values.get("showings", unused).to(device),
            values.get("clicked", unused).to(device),
        )
        users = values["users"].to(device)
        return cls(state, users, values.get("numbers", users).to(device))
