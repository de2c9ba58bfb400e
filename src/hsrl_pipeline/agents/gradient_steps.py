"""How an agent takes gradient steps: optimisers, target networks, random draws, precision."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from hsrl_pipeline.config.agents.shared import AgentSettings

ModuleT = TypeVar("ModuleT", bound=nn.Module)
SettingsT = TypeVar("SettingsT", bound=AgentSettings)


class GradientSteps(Generic[SettingsT]):
    """Optimisers and target networks of an agent, and the conditions of one update.

    Random draws inside an update depend on the seed and the number of updates alone, so that a
    resumed run continues with the very numbers the unbroken one would have drawn.

    Args:
        modules: All that learns, by name.
        settings: Settings of the agent.
        device: Where the modules live after this.
        seed: Seed of the draws in updates.
    """

    def __init__(
        self, modules: nn.ModuleDict, settings: SettingsT, device: torch.device, seed: int
    ) -> None:
        self._settings = settings
        self._device = device
        self._seed = seed
        self._n_updates = 0
        self._modules = modules.to(device)
        self._modules.eval()
        self._targets = nn.ModuleDict()
        self._optimizers: dict[str, torch.optim.Optimizer] = {}
        self._learning_rates: dict[str, float] = {}
        self._learning_rate_share = 1.0
        self._weights: dict[int, list[torch.Tensor]] = {}

    def scale_learning_rates(self, share: float) -> None:
        """Make all step sizes a share of what the settings say.

        Args:
            share: In [0, 1]; 1 is the settings' own.
        """
        self._learning_rate_share = share
        for name, rate in self._learning_rates.items():
            self._set_learning_rate(name, rate)

    def _add_optimizer(
        self,
        name: str,
        parameters: Iterable[nn.Parameter] | list[dict[str, Any]],
        learning_rate: float,
        weight_decay: float = 0.0,
    ) -> None:
        """Create a fused AdamW over the parameters; without weight decay it is Adam.

        A group of parameters may have a ``gain``, which multiplies all its step sizes.
        """
        self._optimizers[name] = torch.optim.AdamW(
            parameters, lr=learning_rate, weight_decay=weight_decay, fused=True
        )
        self._set_learning_rate(name, learning_rate)

    def _set_learning_rate(self, name: str, rate: float) -> None:
        """Set the step size that the settings ask for at this time."""
        self._learning_rates[name] = rate
        for group in self._optimizers[name].param_groups:
            group["lr"] = rate * self._learning_rate_share * group.get("gain", 1.0)

    def _add_target(self, name: str, module: ModuleT) -> ModuleT:
        """Return a copy of the module that follows it and never receives gradient."""
        target = copy.deepcopy(module).requires_grad_(False).eval()
        self._targets[name] = target
        return target

    def _polyak_update(self, target: nn.Module, online: nn.Module, tau: float) -> None:
        """Move the target's weights the share ``tau`` towards the online ones (Polyak)."""
        with torch.no_grad():
            pair = self._weights_of(target), self._weights_of(online)
            torch._foreach_lerp_(*pair, tau)

    def _weights_of(self, module: nn.Module) -> list[torch.Tensor]:
        """Return a module's parameters; looked up once, for walking a module tree is slow."""
        key = id(module)
        if key not in self._weights:
            self._weights[key] = list(module.parameters())
        return self._weights[key]

    def _step(self, name: str) -> torch.Tensor:
        """Clip the gradient, step one optimiser and return the norm before clipping."""
        optimizer = self._optimizers[name]
        parameters = [weight for group in optimizer.param_groups for weight in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, self._settings.gradient_clip, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return norm

    def _precision(self) -> torch.autocast:
        """Return the context in which forward passes of an update run."""
        return torch.autocast(
            self._device.type,
            dtype=torch.bfloat16,
            enabled=self._settings.mixed_precision and self._device.type == "cuda",
        )

    @contextmanager
    def _updating(self) -> Iterator[torch.Generator]:
        """Run one update: dropout on, its draws fixed by seed and update count, mixed precision.

        Yields:
            The random stream of this update, for noise that a loss needs.
        """
        self._n_updates += 1
        generator = self._draws_of(self._n_updates)
        if self._settings.encoder.dropout == 0.0:
            with self._precision():
                yield generator
            return
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), self._precision():
            seed = (self._seed + self._n_updates) % 2**63
            # seeding all devices takes longer on a CPU than much of an update
            (torch.manual_seed if devices else torch.default_generator.manual_seed)(seed)
            self._modules.train()
            try:
                yield generator
            finally:
                self._modules.eval()

    def _draws_of(self, update: int) -> torch.Generator:
        """Return the random stream of the update with a number."""
        generator = torch.Generator(self._device)
        generator.manual_seed((self._seed + update) % 2**63)
        return generator
