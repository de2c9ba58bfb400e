"""Several response models that answer as one and know where they disagree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import nn
from typing_extensions import Self

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.response.base import Newcomers, UserResponseModel


class Answers(NamedTuple):
    """What the members of an ensemble say of the items of slates.

    Attributes:
        probabilities: (batch, slate) float32. Click probabilities of the ensemble, in [0, 1].
        disagreement: (batch, slate) float32. Standard deviation of the members' click
            probabilities (population form), 0 to 0.5.
    """

    probabilities: torch.Tensor
    disagreement: torch.Tensor


class EnsembleResponse(UserResponseModel):
    """The average click probability of its members.

    Averaging probabilities, not log-odds, keeps the answer a mixture: if one member is right and
    drawn at random, this is the chance of a click.

    Args:
        members: Models of the same catalogue and history window, at least two.

    Raises:
        ValueError: Fewer than two members, or members of different sizes.
    """

    def __init__(self, members: Sequence[UserResponseModel]) -> None:
        super().__init__()
        if len(members) < 2:
            raise ValueError(f"an ensemble needs at least 2 members, not {len(members)}")
        if len({(member.n_items, member.history_size) for member in members}) > 1:
            raise ValueError("the members of an ensemble differ in n_items or history_size")
        if len({member.identified for member in members}) > 1:
            raise ValueError("some members of an ensemble must know the user, others must not")
        self.members = nn.ModuleList(members)
        self.n_items = members[0].n_items
        self.history_size = members[0].history_size
        self.identified = members[0].identified

    def freeze(self) -> Self:
        """Freeze every member."""
        for member in self._models():
            member.freeze()
        return super().freeze()

    def knows(self, users: torch.Tensor) -> torch.Tensor:
        """Return (user,) bool: whether every member knows a user; see the base class."""
        return torch.stack([member.knows(users) for member in self._models()]).all(dim=0)

    def introduced(self, newcomers: Newcomers) -> EnsembleResponse:
        """Introduce newcomers to every member; see the base class."""
        return EnsembleResponse([m.introduced(newcomers) for m in self._models()]).freeze()

    def logits(
        self,
        user_categories: torch.Tensor,
        user_dense: torch.Tensor,
        history: torch.Tensor,
        slates: torch.Tensor,
    ) -> torch.Tensor:
        """Return the log-odds of the average probability; see the base class."""
        return _average(
            [
                member.logits(user_categories, user_dense, history, slates)
                for member in self._models()
            ]
        )

    def scores_all(self, observation: Observation) -> torch.Tensor:
        """Return the log-odds of the average probability of every item; see the base class."""
        return _average([member.scores_all(observation) for member in self._models()])

    def answers(self, observation: Observation, slates: torch.Tensor) -> Answers:
        """Return click probabilities and how far those of the members lie apart.

        Each member is asked once; the probabilities are those of ``probabilities``, bit for bit.

        Args:
            observation: (batch, ...) users with their histories.
            slates: (batch, slate) int64. Items in ``[1, n_items]``.
        """
        users = (observation.user_categories, observation.user_dense, observation.history)
        logits = [member.logits(*users, slates) for member in self._models()]
        apart = torch.sigmoid(torch.stack(logits)).std(dim=0, correction=0)
        return Answers(torch.sigmoid(_average(logits)), apart)

    def disagreement(self, observation: Observation, slates: torch.Tensor) -> torch.Tensor:
        """Return the (batch, slate) float32 disagreement of ``answers``."""
        return self.answers(observation, slates).disagreement

    def _models(self) -> list[UserResponseModel]:
        return [cast(UserResponseModel, member) for member in self.members]


def _average(logits: list[torch.Tensor]) -> torch.Tensor:
    """Return log-odds of the mean of the probabilities that belong to the given log-odds."""
    stacked = torch.stack(logits)
    # log(mean p) - log(mean (1 - p)); the common 1/M cancels and nothing is clipped.
    clicked = torch.logsumexp(nn.functional.logsigmoid(stacked), dim=0)
    skipped = torch.logsumexp(nn.functional.logsigmoid(-stacked), dim=0)
    return clicked - skipped
