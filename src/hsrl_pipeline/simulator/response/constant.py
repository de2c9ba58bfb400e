"""A user who answers every item alike: the control of the simulator ablation."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.shapes import PAD_ID
from hsrl_pipeline.simulator.response.base import UserResponseModel


class ConstantResponse(UserResponseModel):
    """The same click probability for every user, history and item.

    Whatever a policy does, it can expect the same reward. What it learns all the same comes from
    elsewhere, such as the log.

    Args:
        probability: Click probability of every real item, in (0, 1).
        n_items: Number of real items.
        history_size: Length of the history window, kept for callers.
    """

    FIELDS: ClassVar[tuple[str, ...]] = ("probability", "n_items", "history_size")
    log_odds: torch.Tensor

    def __init__(self, probability: float, n_items: int, history_size: int) -> None:
        super().__init__()
        if not 0.0 < probability < 1.0:
            raise ValueError(f"probability {probability} is not in (0, 1)")
        self.probability = probability
        self.n_items = n_items
        self.history_size = history_size
        log_odds = torch.full((n_items + 1,), math.log(probability / (1.0 - probability)))
        log_odds[PAD_ID] = -torch.inf
        self.register_buffer("log_odds", log_odds, persistent=False)

    def describe(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {name: getattr(self, name) for name in self.FIELDS}

    def logits(
        self,
        user_categories: torch.Tensor,
        user_dense: torch.Tensor,
        history: torch.Tensor,
        slates: torch.Tensor,
    ) -> torch.Tensor:
        """Return the same log-odds for every real item; see the base class."""
        return self.log_odds[slates]

    def scores_all(self, observation: Observation) -> torch.Tensor:
        """Return the same log-odds for every item; see the base class."""
        return self.log_odds.expand(observation.batch_size, -1)
