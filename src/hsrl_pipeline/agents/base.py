"""The protocol between trainer, evaluation and every agent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from typing_extensions import Self

from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.config.agents.shared import ExperienceKind
from hsrl_pipeline.config.session import HistoryForm
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch


class Action(NamedTuple):
    """What a policy decided for a batch of sessions.

    Attributes:
        slates: (batch, slate) int64. Distinct items in ``[1, n_items]``, best first.
        latent_action: (batch, embed) float32. Continuous action behind the slate, width 0 if none.
        log_prob: (batch,) float32. Log-probability of the slate under the sampling policy, 0 when
            greedy or undefined.
    """

    slates: torch.Tensor
    latent_action: torch.Tensor
    log_prob: torch.Tensor


class Bootstrap(NamedTuple):
    """What an update needs of the next observations, computed without gradient or dropout.

    Attributes:
        td_target: (batch,) float32. ``r + gamma (1 - terminated) V(s')``.
        next_state: (batch, embed) float32. Encoded next observations.
    """

    td_target: torch.Tensor
    next_state: torch.Tensor


@dataclass(frozen=True)
class UpdateStats:
    """Scalars of one update, still on the device so that no step waits for a copy.

    Attributes:
        losses: Named 0-dim tensors (``critic_loss``, ``actor_loss``, ...).
        diagnostics: Named 0-dim tensors (``entropy_level_1``, ``gradient_norm``, ...).
    """

    losses: dict[str, torch.Tensor]
    diagnostics: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class LogBatch:
    """Logged slates, the supervised signal; from the training split only.

    Attributes:
        observation: The user and the history before the slate; ``step`` is 0.
        slates: (batch, slate) int64. Logged items in log order.
        clicks: (batch, slate) float32. Logged feedback.
    """

    observation: Observation
    slates: torch.Tensor
    clicks: torch.Tensor


@dataclass(frozen=True)
class AgentContext:
    """Everything about the data that an agent may know when it is built.

    Where the catalogue moves, these are the tables of its launch; ``set_catalogue`` brings later
    ones.

    Attributes:
        n_items: Number of real items; item tables have ``n_items + 1`` rows, row 0 is padding.
            Items that are not published yet count.
        slate_size: Items per slate, K.
        history_size: Length of the history window, H.
        category_sizes: Cardinality of each categorical user feature.
        n_dense: Number of numeric user features.
        horizon: Longest possible session in steps.
        item_vectors: (item, embed) float32 numpy, with quality columns at the end where there are
            such. Zero for row 0 and items not published yet.
        codes: (item, level) int64 numpy. Semantic IDs, codes in ``[0, V_level)``; -1 for row 0 and
            items not published yet.
        vocab_sizes: Vocabulary size of each level.
        device: Torch device the agent lives on.
        seed: Seed of the run; streams are derived with ``seeding``.
        shelves: (item,) int64 numpy, or None. Shelf of each item (1-based, row 0 is 0) where
            slates must take equal numbers from each shelf (RL4RS).
        item_priors: (item,) float32 numpy, or None for equal ones. Log-odds of being shown among
            the items of one code; row 0 is 0.
        history: What observations hold of the past.
    """

    n_items: int
    slate_size: int
    history_size: int
    category_sizes: tuple[int, ...]
    n_dense: int
    horizon: int
    item_vectors: np.ndarray
    codes: np.ndarray
    vocab_sizes: tuple[int, ...]
    device: torch.device
    seed: int
    shelves: np.ndarray | None = None
    item_priors: np.ndarray | None = None
    history: HistoryForm = "clicks"


class Policy(Protocol):
    """Anything that can be evaluated: learned agents and the references that do not learn.

    A reference that asks a response model says so with a true attribute ``simulates``. It is shown
    what a simulated user goes by, whatever form of the history others see. With a true attribute
    ``published_only`` it is not shown items that are not published yet.
    """

    name: str

    def act(
        self, observation: Observation, *, explore: bool, generator: torch.Generator | None = None
    ) -> Action:
        """Choose a slate per session; greedy and deterministic unless ``explore``."""
        ...


class ItemScorer(Protocol):
    """A policy whose greedy slates are the items of highest score; what serving needs of it."""

    name: str

    def item_scores(self, observation: Observation) -> torch.Tensor:
        """Return what greedy slates are ranked by.

        Args:
            observation: The sessions.

        Returns:
            (batch, item) float32; without meaning for padding and items that are not live.
        """
        ...

    def scores_of(self, observation: Observation, items: torch.Tensor) -> torch.Tensor:
        """Return the scores of given items, without scoring the others where that is possible.

        Args:
            observation: The sessions.
            items: (batch, any) int64. Items in ``[0, n_items]``.

        Returns:
            (batch, any) float32; without meaning for padding and items that are not live.
        """
        ...

    def best_items(self, observation: Observation, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the live items of highest score that may be shown.

        Args:
            observation: The sessions; items of ``shown`` stay out.
            n: Number of items; divisible by the number of shelves.

        Returns:
            items: (batch, n) int64. Best first on each shelf; PAD_ID where no more may be shown.
            scores: (batch, n) float32; ``-inf`` there.
        """
        ...

    def set_catalogue(self, catalogue: LiveCatalogue) -> None:
        """Recommend the live items of a version from now on."""
        ...

    def prepare_to_serve(self) -> None:
        """Make what answers quickly; the weights must not be trained any further."""
        ...

    def policy_state(self) -> dict[str, torch.Tensor]:
        """Return the weights needed for acting alone, as a flat tensor dict."""
        ...

    def twin(self) -> Self:
        """Return a copy whose catalogue can be set while this one goes on."""
        ...


@runtime_checkable
class Agent(Protocol):
    """A policy that learns.

    ``experience`` tells the trainer what the agent learns from: ``"log"`` means logged slates
    only (no interaction), ``"replay"`` uniform samples of a replay buffer, ``"fresh"`` the newest
    transitions of the acting sessions in order. ``uses_log`` says whether the next update needs
    logged slates, and ``log_batch_size`` how many (0 for an agent that never reads the log).
    ``gamma`` is the discount of its value targets, 0 for an agent that learns no values, and
    ``group_size`` the number of slates drawn for a state that it learns from, with that shown.
    Agents own their networks, optimisers and target networks; they keep no device or random state
    outside ``state_dict``. A state belongs to the version of the catalogue it was made under.
    """

    name: str
    experience: ExperienceKind
    latent_size: int
    uses_log: bool
    log_batch_size: int
    gamma: float
    group_size: int

    @property
    def catalogue_version(self) -> str | None:
        """Version of the catalogue that was set last; None for that of the agent's making."""
        ...

    def act(
        self, observation: Observation, *, explore: bool, generator: torch.Generator | None = None
    ) -> Action:
        """Choose a slate per session; samples when ``explore``, else greedy; no dropout."""
        ...

    def set_catalogue(self, catalogue: LiveCatalogue) -> None:
        """Act and learn under a version of the catalogue from now on.

        Only live items are recommended. Items published by this version get their vectors and
        codes, and weights of their own start by the agent's rule, without memory in the optimisers.
        No other weight changes. Twins are made anew afterwards, or told by themselves. Nothing may
        be in flight.
        """
        ...

    def bootstrap(self, batch: TransitionBatch) -> Bootstrap:
        """Value the next observations, as the next ``update`` on this batch would."""
        ...

    def update(
        self,
        batch: TransitionBatch | None,
        log: LogBatch | None,
        bootstrap: Bootstrap | None = None,
    ) -> UpdateStats:
        """Take one gradient step; ``log`` is given when ``uses_log`` or experience is ``log``.

        Without ``bootstrap`` the agent values the next observations itself.
        """
        ...

    def scale_learning_rates(self, share: float) -> None:
        """Make all step sizes this share of what the settings say."""
        ...

    def twin(self) -> Self:
        """Return a copy that can act and value next observations while this one is updated."""
        ...

    def copy_weights_of(self, agent: Self) -> None:
        """Bring a twin in line with the agent it was made of."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to continue bit-identically: weights, targets, optimisers."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        ...

    def policy_state(self) -> dict[str, torch.Tensor]:
        """Return the weights needed for acting alone, as a flat tensor dict."""
        ...

    def load_policy_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restore what ``policy_state`` returned."""
        ...
