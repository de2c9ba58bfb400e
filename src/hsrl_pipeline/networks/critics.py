"""Value networks on encoded states: V(s) and one or more Q(s, z)."""

from __future__ import annotations

import torch
from torch import nn

from hsrl_pipeline.networks.actors import build_mlp
from hsrl_pipeline.shapes import check_shape


class StateValue(nn.Module):
    """V(s), the expected discounted reward from a state on.

    Args:
        state_size: Width of a state.
        hidden_size: Hidden width.
    """

    def __init__(self, state_size: int, hidden_size: int) -> None:
        super().__init__()
        self.layers = build_mlp(state_size, hidden_size, 1)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return the values, (batch, embed) to (batch,) float32."""
        value: torch.Tensor = self.layers(states)
        return value.squeeze(-1)


class ActionValues(nn.Module):
    """Q(s, z) of a continuous action, by one critic (DDPG, HAC) or several (TD3).

    Args:
        state_size: Width of a state.
        latent_size: Width of the action.
        hidden_size: Hidden width.
        n_critics: Number of independently initialised critics.
    """

    def __init__(self, state_size: int, latent_size: int, hidden_size: int, n_critics: int) -> None:
        super().__init__()
        self.critics = nn.ModuleList(
            build_mlp(state_size + latent_size, hidden_size, 1) for _ in range(n_critics)
        )

    def forward(self, states: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Return every critic's value.

        Args:
            states: (batch, embed) float32.
            latent: (batch, latent) float32.

        Returns:
            (critic, batch) float32.
        """
        check_shape("latent", latent, states.shape[0], None)
        joined = torch.cat([states, latent], dim=-1)
        return torch.stack([critic(joined).squeeze(-1) for critic in self.critics])

    def first(self, states: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Return the first critic's value, (batch,) float32, which actors ascend."""
        joined = torch.cat([states, latent], dim=-1)
        value: torch.Tensor = self.critics[0](joined)
        return value.squeeze(-1)
