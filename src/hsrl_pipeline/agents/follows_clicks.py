"""What a policy does that goes by the clicks on what it serves, without an update."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import torch

from hsrl_pipeline.agents.base import Policy
from hsrl_pipeline.observation import Observation


class FollowedItems(NamedTuple):
    """What a policy has taken in of items while it served.

    Attributes:
        items: (followed,) int64. Items whose clicks it follows.
        statistics: (followed, any) float32. What shows and clicks have come to, in the policy's own
            form; all 0 before the first show.
    """

    items: torch.Tensor
    statistics: torch.Tensor


@runtime_checkable
class FollowsClicks(Policy, Protocol):
    """A policy that can take in what became of its slates while it serves, without an update."""

    @property
    def follows_clicks(self) -> bool:
        """Whether what it takes in changes anything, as its settings say."""
        ...

    def observe(self, observation: Observation, slates: torch.Tensor, clicks: torch.Tensor) -> None:
        """Take in slates that were shown.

        Args:
            observation: What they were chosen on.
            slates: (batch, slate) int64. Shown items.
            clicks: (batch, slate) float32. Their clicks, or click probabilities.
        """
        ...

    def followed_items(self) -> FollowedItems:
        """Return what it has taken in so far."""
        ...

    def take_over(self, followed: FollowedItems) -> None:
        """Take over what another policy of the same making has taken in.

        Args:
            followed: In the item indices of this one. Items that it does not follow change nothing.
        """
        ...
