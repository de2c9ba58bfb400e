"""Walks down the trie whose distributions are known before the first step."""

from __future__ import annotations

import torch


class CatalogueWalk:
    """What is the same for walks on which the codes taken change nothing but where they lead."""

    def enter(self, state: torch.Tensor, roots: torch.Tensor) -> torch.Tensor:
        """Return the state as it is: shelves are told apart by the masses below their roots."""
        return state

    def refine(self, level: int, context: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Return the context as it is: all distributions are known."""
        return context


def state_of_rows(context: torch.Tensor, n_states: int) -> torch.Tensor:
    """Return (row, 1) int64, which state each row of a beam belongs to.

    Args:
        context: (row, beam, any). As many rows per state as there are shelves, side by side.
        n_states: Number of states.
    """
    rows = torch.arange(len(context), device=context.device)
    return (rows // (len(context) // n_states)).unsqueeze(1)
