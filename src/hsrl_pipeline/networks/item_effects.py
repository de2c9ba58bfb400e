"""What items add to their scores by themselves: learned deviations, statistics since arrival."""

from __future__ import annotations

import torch
from torch import nn

from hsrl_pipeline.networks.arrival_statistics import ArrivalStatistics
from hsrl_pipeline.networks.catalogue_tables import WrittenRows


class ItemEffects(nn.Module):
    """Numbers that belong to single items, the same in all states: for a head that scores items."""

    deviations: nn.Parameter | None
    statistics: ArrivalStatistics | None
    unseen: torch.Tensor | None
    """(item,) bool. Items whose own numbers are left out for now; None for nobody's."""

    def keep_effects(
        self,
        n_rows: int,
        *,
        deviations: bool,
        arrival_prior: float | None,
        arrival_bonus: float = 0.0,
    ) -> None:
        """Make the numbers, all 0.

        Args:
            n_rows: Items and the row of padding.
            deviations: Whether every item has a learned number.
            arrival_prior: Strength of the prior of ``ArrivalStatistics``; None for none of them.
            arrival_bonus: Their bonus.
        """
        self.deviations = nn.Parameter(torch.zeros(n_rows)) if deviations else None
        self.statistics = None
        if arrival_prior is not None:
            self.statistics = ArrivalStatistics(n_rows, arrival_prior, arrival_bonus)
        self.unseen = None

    def effects(self) -> torch.Tensor | None:
        """Return (item,) float32, the sum of both; None where items have neither."""
        total: torch.Tensor | None = self.deviations
        if self.statistics is not None:
            since_arrival = self.statistics.effects
            total = since_arrival if total is None else total + since_arrival
        if total is not None and self.unseen is not None:
            total = total.masked_fill(self.unseen, 0.0)
        return total

    def deviation_penalty(self) -> torch.Tensor:
        """Return the sum of squared deviations, 0-dim float32; 0 without them."""
        if self.deviations is None:
            return next(self.parameters()).new_zeros(())
        return self.deviations.square().sum()

    @torch.no_grad()
    def start_effects(self, new: torch.Tensor) -> list[WrittenRows]:
        """Set the numbers of new items, (new,) int64, to 0."""
        if self.statistics is not None:
            self.statistics.start(new)
        if self.deviations is None:
            return []
        self.deviations[new] = 0.0
        return [WrittenRows(self.deviations, new)]
