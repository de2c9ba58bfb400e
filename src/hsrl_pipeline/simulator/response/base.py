"""What a simulated user answers: log-odds of a click on each item of a slate.

There is one sigmoid, and it is never inside a model: ``logits`` are what the loss sees.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import nn
from typing_extensions import Self

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.response.taste import Feedback


class Newcomers(NamedTuple):
    """Starts of sessions by users whom a simulator does not know, under numbers of their own.

    Attributes:
        first: Number of the first start, above all user indices; the others follow.
        users: (start,) int64. User index of each start.
        feedback: What each of them answered before the session; owners are starts.
    """

    first: int
    users: torch.Tensor
    feedback: Feedback


class UserResponseModel(nn.Module, ABC):
    """What sessions, references and evaluation know of a simulated user.

    Attributes:
        n_items: Number of real items; item tables have ``n_items + 1`` rows.
        history_size: Length H of the history window that the model reads.
        identified: Whether observations must tell who the user is, by the user index as last
            numeric feature. Policies never see it.
    """

    identified: bool = False
    n_items: int
    history_size: int

    @abstractmethod
    def logits(
        self,
        user_categories: torch.Tensor,
        user_dense: torch.Tensor,
        history: torch.Tensor,
        slates: torch.Tensor,
    ) -> torch.Tensor:
        """Return the log-odds of a click on each item of a slate.

        Args:
            user_categories: (batch, field) int64. Codes in ``[0, cardinality)``, 0 for missing.
            user_dense: (batch, dense) float32. Standardised numeric features.
            history: (batch, history) int64. Clicked items, newest last, left-padded with PAD_ID.
            slates: (batch, slate) int64. Items in ``[1, n_items]``.

        Returns:
            (batch, slate) float32. Log-odds; ``-inf`` where an item is PAD_ID.
        """

    @abstractmethod
    def scores_all(self, observation: Observation) -> torch.Tensor:
        """Return the log-odds of a click on every item of the catalogue.

        Args:
            observation: (batch, ...) users with their histories.

        Returns:
            (batch, item) float32. Column ``i`` belongs to item ``i``; column 0 is ``-inf``.
        """

    def probabilities(self, observation: Observation, slates: torch.Tensor) -> torch.Tensor:
        """Return the click probability of each item of a slate.

        Args:
            observation: (batch, ...) users with their histories.
            slates: (batch, slate) int64. Items in ``[1, n_items]``.

        Returns:
            (batch, slate) float32. In [0, 1].
        """
        return torch.sigmoid(
            self.logits(
                observation.user_categories, observation.user_dense, observation.history, slates
            )
        )

    def knows(self, users: torch.Tensor) -> torch.Tensor:
        """Return whether there is nothing to infer of users from what they answered.

        Args:
            users: (user,) int64. User indices.

        Returns:
            (user,) bool. True for all, unless users have tastes of their own.
        """
        return torch.ones_like(users, dtype=torch.bool)

    def introduced(self, newcomers: Newcomers) -> UserResponseModel:
        """Return a model that answers to the numbers of newcomers too, and is else the same.

        Args:
            newcomers: What is known of users before their sessions.

        Returns:
            The model itself, if it does not ask who a user is.
        """
        return self

    def freeze(self) -> Self:
        """Switch to evaluation for good: no dropout, no gradient, what never changes computed.

        Returns:
            The model itself.
        """
        self.eval()
        self.requires_grad_(False)
        return self
