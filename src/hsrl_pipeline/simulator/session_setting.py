"""What all sessions of a run share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.simulator.candidates import CandidateRules
from hsrl_pipeline.simulator.dynamics import SessionRules

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class SessionSetting:
    """The rules, sizes and device that all sessions of a run share.

    Training, evaluation and agents are given the same one, so that none of them can go by other
    rules than the rest.

    Attributes:
        session: Horizon, initial patience and history window.
        reward: From clicks to reward.
        candidates: Which slates are allowed.
        slate_size: Items per slate, K.
        n_items: Number of real items.
        shelves: (item,) int64. Shelf of each item from 1, row 0 is 0; None unless
            ``candidates.enforce_shelves`` binds slates to them, whatever was given.
        device: Torch device of sessions, response model and policies.
    """

    session: SessionConfig
    reward: RewardConfig
    candidates: CandidatesConfig
    slate_size: int
    n_items: int
    shelves: NDArray[np.int64] | None = None
    device: torch.device = CPU

    def __post_init__(self) -> None:
        if not self.candidates.enforce_shelves:
            object.__setattr__(self, "shelves", None)

    def session_rules(self) -> SessionRules:
        """Return what one step does to a session."""
        return SessionRules(self.session, self.reward, self.candidates, self.slate_size)

    def candidate_rules(self, n_seen: int = 0) -> CandidateRules:
        """Return the check of slates.

        Args:
            n_seen: Most items that a session counts as shown before its first step.

        Raises:
            UserError: The rules cannot be met with these items.
        """
        return CandidateRules(
            self.candidates,
            n_items=self.n_items,
            slate_size=self.slate_size,
            horizon=self.session.horizon,
            shelves=self.shelves,
            n_seen=n_seen,
            device=self.device,
        )
