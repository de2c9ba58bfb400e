"""What the agents made of torch modules have in common: catalogue, state, twins, updates."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import nn
from typing_extensions import Self

from hsrl_pipeline.agents.base import AgentContext, Bootstrap, LogBatch, UpdateStats
from hsrl_pipeline.agents.gradient_steps import GradientSteps, SettingsT
from hsrl_pipeline.agents.slate_selection import SlateSelector
from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.config.agents.shared import DiscountedSettings, ExperienceKind
from hsrl_pipeline.losses.returns import td_target
from hsrl_pipeline.networks.catalogue_tables import (
    CatalogueTables,
    TakesCatalogue,
    WrittenRows,
    forget_rows,
)
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch
from hsrl_pipeline.seeding import derive_seed


class TorchAgent(GradientSteps[SettingsT]):
    """An agent made of torch modules, as the trainer and the server know it.

    An agent implements ``act`` and what it learns: ``_learn`` and ``_value_next`` where it
    learns from transitions, ``_learn_from_log`` where it learns from the log alone. Whether it
    was given what it needs is checked here, in ``update``.

    Args:
        name: Registered name.
        settings: Settings of the agent.
        context: Sizes, device and seed.
        policy: All that acting needs.
        critics: Modules that only learning needs, by name.
        log_batch_size: Logged slates per update; 0 for an agent that never reads the log.
    """

    def __init__(
        self,
        name: str,
        settings: SettingsT,
        context: AgentContext,
        *,
        policy: nn.Module,
        critics: dict[str, nn.Module] | None = None,
        log_batch_size: int = 0,
    ) -> None:
        super().__init__(
            nn.ModuleDict({"policy": policy, **(critics or {})}),
            settings,
            context.device,
            derive_seed(context.seed, f"agent.{name}.update"),
        )
        self.name = name
        self.experience: ExperienceKind = settings.experience
        self.latent_size = 0
        self.uses_log = settings.experience == "log"
        self.log_batch_size = log_batch_size
        self.group_size = settings.slates_per_state
        self.gamma = settings.gamma if isinstance(settings, DiscountedSettings) else 0.0
        self._selector = SlateSelector(
            context.n_items, context.slate_size, context.shelves, context.device
        )
        self._published = np.asarray((context.codes >= 0).all(axis=1))
        self._live = self._published
        self._table_shapes = {
            "item_vectors": context.item_vectors.shape,
            "codes": context.codes.shape,
        }
        self._vocab_sizes = context.vocab_sizes
        self._catalogue_version: str | None = None
        self._policy = policy

    @property
    def catalogue_version(self) -> str | None:
        """Version of the catalogue that was set last; None for that of the agent's making."""
        return self._catalogue_version

    def set_catalogue(self, catalogue: LiveCatalogue) -> None:
        """Act and learn under a version of the catalogue from now on.

        Online and target networks take over its tables and start the weights of new items, which
        the optimisers then have no memory of. All other weights stay as they are.

        Args:
            catalogue: Rows for all items of the agent's context.

        Raises:
            ValueError: A table has another shape than the context's, a code lies outside its
                vocabulary, or too few items are live; nothing changes.
        """
        self._check_tables(catalogue)
        self._selector.set_live(catalogue.live)
        tables = CatalogueTables.of(
            catalogue, published=self._published, live=self._live, device=self._device
        )
        written = self._take_catalogue(tables)
        for part in (*self._modules.modules(), *self._targets.modules()):
            if isinstance(part, TakesCatalogue):
                written += part.set_catalogue(tables)
        for optimizer in self._optimizers.values():
            forget_rows(optimizer, written)
        self._published = self._published | catalogue.published
        self._live = catalogue.live
        self._catalogue_version = catalogue.version

    def _take_catalogue(self, tables: CatalogueTables) -> list[WrittenRows]:
        """Do what the networks can't do by themselves; returns the rows of weights it has set."""
        return []

    def _check_tables(self, catalogue: LiveCatalogue) -> None:
        for name, shape in self._table_shapes.items():
            given = getattr(catalogue, name).shape
            if given != shape:
                raise ValueError(
                    f"{name} of the catalogue has shape {given}, {self.name} has {shape}"
                )
        largest = catalogue.codes.max(axis=0)
        if (largest >= self._vocab_sizes).any():
            level = int((largest >= self._vocab_sizes).argmax())
            raise ValueError(
                f"the catalogue has code {largest[level]} at level {level + 1}, "
                f"{self.name} knows {self._vocab_sizes[level]} codes there"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return weights, target weights, optimiser state and the number of updates."""
        return {
            "catalogue_version": self._catalogue_version,
            "networks": self._modules.state_dict(),
            "targets": self._targets.state_dict(),
            "optimizers": {name: part.state_dict() for name, part in self._optimizers.items()},
            "n_updates": self._n_updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned.

        Raises:
            ValueError: The state was made under another version of the catalogue.
        """
        version = state.get("catalogue_version")
        if version != self._catalogue_version:
            raise ValueError(
                f"the state of {self.name} is of catalogue version {version}, "
                f"{self._catalogue_version} is set"
            )
        self._modules.load_state_dict(state["networks"])
        self._targets.load_state_dict(state["targets"])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(copy.deepcopy(state["optimizers"][name]))
        self._n_updates = int(state["n_updates"])

    def policy_state(self) -> dict[str, torch.Tensor]:
        """Return the weights needed for acting, as a flat tensor dict."""
        return {name: value.detach().clone() for name, value in self._policy.state_dict().items()}

    def load_policy_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restore what ``policy_state`` returned."""
        self._policy.load_state_dict(state)

    def twin(self) -> Self:
        """Return a copy that can act and value next observations while this one is updated.

        Buffers and arrays (item vectors, tries) are shared; optimisers stay behind.
        """
        modules = [part for part in vars(self).values() if isinstance(part, nn.Module)]
        memo: dict[int, Any] = {id(kept): kept for part in modules for kept in part.buffers()}
        memo |= {id(kept): kept for kept in vars(self).values() if isinstance(kept, np.ndarray)}
        memo |= {id(self._optimizers): {}, id(self._weights): {}}
        return copy.deepcopy(self, memo)

    def copy_weights_of(self, agent: Self) -> None:
        """Bring a twin in line with the agent it was made of."""
        for own, other in ((self._modules, agent._modules), (self._targets, agent._targets)):
            weights = self._weights_of(own)
            if weights:
                with torch.no_grad():
                    torch._foreach_copy_(weights, agent._weights_of(other))
        self._n_updates = agent._n_updates

    @torch.no_grad()
    def bootstrap(self, batch: TransitionBatch) -> Bootstrap:
        """Value the next observations, as the next ``update`` on this batch would.

        Args:
            batch: Transitions.

        Raises:
            ValueError: The agent learns no values.
        """
        if not isinstance(self._settings, DiscountedSettings):
            raise ValueError(f"{self.name} learns no values")
        with self._precision():
            value, state = self._value_next(batch)
        target = td_target(batch.reward, batch.terminated, value.float(), self.gamma)
        return Bootstrap(target, state)

    def update(
        self,
        batch: TransitionBatch | None,
        log: LogBatch | None,
        bootstrap: Bootstrap | None = None,
    ) -> UpdateStats:
        """Take one gradient step.

        Args:
            batch: Transitions; not used by an agent that learns from the log alone.
            log: Logged slates of the training split; needed while ``uses_log``, else not read.
            bootstrap: Values of the next observations; computed here when missing.

        Raises:
            ValueError: What the agent learns from is missing.
        """
        if self.experience == "log":
            if log is None:
                raise self._without("logged slates")
            return self._learn_from_log(log)
        if batch is None:
            raise self._without("transitions")
        if log is None and self.uses_log:
            raise self._without("logged slates")
        values = bootstrap or self.bootstrap(batch)
        return self._learn(batch, values, log if self.uses_log else None)

    def item_scores(self, observation: Observation) -> torch.Tensor:
        """Return what greedy slates are ranked by, (batch, item) float32; see ``ItemScorer``."""
        raise NotImplementedError

    def scores_of(self, observation: Observation, items: torch.Tensor) -> torch.Tensor:
        """Return the scores of given items, (batch, any) float32; see ``ItemScorer``."""
        raise NotImplementedError

    def prepare_to_serve(self) -> None:
        """Make what answers quickly, if there is something to make; see ``ItemScorer``."""

    @torch.no_grad()
    def best_items(self, observation: Observation, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the live items of highest score and their scores; see ``ItemScorer``."""
        scores = observation.mask_shown(self.item_scores(observation))
        return self._selector.best(scores, n)

    def _without(self, missing: str) -> ValueError:
        return ValueError(f"{self.name} was updated without {missing}")

    def _learn(
        self, batch: TransitionBatch, bootstrap: Bootstrap, log: LogBatch | None
    ) -> UpdateStats:
        """Take one step on transitions, and on logged slates where ``uses_log`` asks for them."""
        raise NotImplementedError

    def _learn_from_log(self, log: LogBatch) -> UpdateStats:
        """Take one step on logged slates alone."""
        raise NotImplementedError

    def _value_next(self, batch: TransitionBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (batch,) values and (batch, embed) states of the next observations."""
        raise NotImplementedError

    def _no_latent(self, slates: torch.Tensor) -> torch.Tensor:
        """Return the (batch, 0) latent action of agents without one."""
        return torch.empty((slates.shape[0], 0), device=slates.device)
