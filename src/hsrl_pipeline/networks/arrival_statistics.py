"""What shows and clicks say of items that arrived later, smoothed toward what is known of them."""

from __future__ import annotations

import torch
from torch import nn


class ArrivalStatistics(nn.Module):
    """One effect per item that arrived after the launch, in log-odds of a click.

    An effect is a normal variable whose prior mean is 0: no difference from what a policy says of
    the item by codes and vector. Its posterior is followed show by show without any gradient, as
    an extended Kalman filter does for a logistic observation of click ``y`` predicted as ``p``:

        P_i <- P_i + p (1 - p);    e_i <- e_i + (y - p) / (prior_strength + P_i)

    Shows that come together count as one step with their sums. Items of the launch have no effect:
    a policy has learned from them. The numbers are parameters, so that copies of weights take them
    along, but optimisers have nothing to do with them.

    What is little known may be preferred: ``optimism`` is an upper confidence bound's distance
    from the effect, ``bonus`` posterior standard deviations. It shrinks with every show.

    Args:
        n_rows: Items and the row of padding.
        prior_strength: Precision of the prior; a show adds at most 0.25 to it.
        bonus: Standard deviations of optimism; 0 for none.

    References:
        Fahrmeir 1992, "Posterior Mode Estimation by Extended Kalman Filtering for Multivariate
        Dynamic Generalized Linear Models"; Li et al. 2010, "A Contextual-Bandit Approach to
        Personalized News Article Recommendation" (the bonus, for a linear model).
    """

    arrived: torch.Tensor

    def __init__(self, n_rows: int, prior_strength: float, bonus: float = 0.0) -> None:
        super().__init__()
        self._prior_strength, self._bonus = prior_strength, bonus
        self.effects = nn.Parameter(torch.zeros(n_rows), requires_grad=False)
        self.information = nn.Parameter(torch.zeros(n_rows), requires_grad=False)
        self.register_buffer("arrived", torch.zeros(n_rows, dtype=torch.bool), persistent=False)

    @torch.no_grad()
    def start(self, new: torch.Tensor) -> None:
        """Follow items that arrive now.

        Args:
            new: (new,) int64. Their effects are 0.
        """
        self.arrived = self.arrived.index_fill(0, new, True)
        self.effects[new] = 0.0
        self.information[new] = 0.0

    @torch.no_grad()
    def observe(self, items: torch.Tensor, clicks: torch.Tensor, predicted: torch.Tensor) -> None:
        """Take in shows of items; those of items of the launch change nothing.

        Args:
            items: (any) int64. PAD_ID counts as an item of the launch.
            clicks: (any) float32. Clicks, or their probabilities.
            predicted: (any) float32. Click probabilities as predicted with the effects so far.
        """
        counted = self.arrived[items]
        shown = items[counted]
        given = predicted[counted]
        self.information.index_add_(0, shown, given * (1.0 - given))
        surprise = torch.zeros_like(self.effects).index_add_(0, shown, clicks[counted] - given)
        self.effects.add_(surprise / (self._prior_strength + self.information))

    @torch.no_grad()
    def optimism(self) -> torch.Tensor | None:
        """Return (item,) float32, what is added to the effects of items that arrived.

        It is in log-odds of a click: ``bonus / sqrt(prior_strength + P_i)``, and 0 for items of the
        launch. None without a bonus.
        """
        if self._bonus == 0.0:
            return None
        spread = (self._prior_strength + self.information).rsqrt_()
        return spread.mul_(self._bonus).masked_fill_(~self.arrived, 0.0)

    @torch.no_grad()
    def of_arrived(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what is known of the items that arrived.

        Returns:
            items: (arrived,) int64.
            numbers: (arrived, 2) float32. Effect and information of each; a copy.
        """
        items = self.arrived.nonzero()[:, 0]
        return items, torch.stack([self.effects[items], self.information[items]], dim=1)

    @torch.no_grad()
    def take_over(self, items: torch.Tensor, numbers: torch.Tensor) -> None:
        """Set what is known of items; those that have not arrived here change nothing.

        Args:
            items: (any,) int64.
            numbers: (any, 2) float32. As ``of_arrived`` returns them.
        """
        here = self.arrived[items]
        self.effects[items[here]] = numbers[here, 0]
        self.information[items[here]] = numbers[here, 1]
