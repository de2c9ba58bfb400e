"""Distributions over slates: what ``hsrl`` acts by and takes gradients of.

``CatalogueSlates`` has one softmax over the items that may be shown, whose scores do not depend
on which other items there are. Those that walk down the trie are in ``walked_slates``.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch

from hsrl_pipeline.agents.slate_selection import SlateSelector
from hsrl_pipeline.networks.code_scores import CodeScores
from hsrl_pipeline.observation import Observation


class SlateLikelihood(NamedTuple):
    """Likelihood of given slates.

    Attributes:
        items: (batch, slate) float32. Log-probability of each item by itself, among the items of
            its shelf that may be shown; 0 for an item that may not, which then teaches nothing.
        positions: (batch, slate) float32. Log-probability of each item given those before it, of
            which the slate was drawn without replacement; 0 for an item that may not be shown.
        click_scores: (batch, slate) float32. Scores that an item's click log-odds are linear in,
            up to a level that depends on the state alone.
        entropy: (batch,) float32. Its gradient is that of the entropy of one item, in nats; its
            value is the entropy itself, or the estimate from the slate's items.
    """

    items: torch.Tensor
    positions: torch.Tensor
    click_scores: torch.Tensor
    entropy: torch.Tensor


class SlatePolicy(Protocol):
    """A distribution over slates given states."""

    @property
    def has_code(self) -> torch.Tensor:
        """(item,) bool. Which items can be recommended."""
        ...

    def decode(
        self,
        state: torch.Tensor,
        observation: Observation,
        *,
        draw: bool,
        generator: torch.Generator | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return slates, drawn or the best, and their log-probabilities.

        Args:
            state: (batch, embed) float32. Encoded observations.
            observation: The observations; shown items that may not be shown again stay out.
            draw: Draw without replacement; otherwise take the likeliest items.
            generator: Random stream of the draw.

        Returns:
            slates: (batch, slate) int64. Distinct items, best first on each shelf.
            log_prob: (batch,) float32. Log-probability of the ordered slate; 0 without draw.
        """
        ...

    def likelihood(
        self, state: torch.Tensor, observation: Observation, slates: torch.Tensor
    ) -> SlateLikelihood:
        """Return the likelihood of slates, with gradients.

        Args:
            state: (batch, embed) float32. Encoded observations.
            observation: The observations; shown items take no probability.
            slates: (batch, slate) int64. Distinct items in ``[1, n_items]``.
        """
        ...

    def click_scores(self, state: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Return the click scores of any items, among the whole catalogue.

        Args:
            state: (batch, embed) float32. Encoded observations.
            items: (batch, any) int64. Items in ``[1, n_items]``.

        Returns:
            (batch, any) float32; without meaning for items that can't be recommended.
        """
        ...

    def item_scores(self, state: torch.Tensor, observation: Observation) -> torch.Tensor:
        """Return what the likeliest items are ranked by, (batch, item) float32."""
        ...

    def scores_of(
        self, state: torch.Tensor, observation: Observation, items: torch.Tensor
    ) -> torch.Tensor:
        """Return the same for given items, (batch, any) int64, without the others."""
        ...


class CatalogueSlates:
    """Slates drawn position by position from one softmax over the items that may be shown.

    Args:
        head: Scores of items.
        selector: Draws slates, ranks them and knows shelves.
    """

    def __init__(self, head: CodeScores, selector: SlateSelector) -> None:
        self._head = head
        self._selector = selector

    @property
    def has_code(self) -> torch.Tensor:
        """(item,) bool. Which items can be recommended."""
        return self._head.has_code

    def decode(
        self,
        state: torch.Tensor,
        observation: Observation,
        *,
        draw: bool,
        generator: torch.Generator | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return slates and their log-probabilities; see ``SlatePolicy``."""
        logits = observation.mask_shown(self._preferred(self._head(state)))
        if draw:
            return self._selector.sample(logits, generator)
        return self._selector.greedy(logits), state.new_zeros(len(state))

    def likelihood(
        self, state: torch.Tensor, observation: Observation, slates: torch.Tensor
    ) -> SlateLikelihood:
        """Return the likelihood of slates; see ``SlatePolicy``."""
        scores = self._head(state).float()
        preferred = self._preferred(scores)
        split = self._selector.split(preferred, slates, observation.shown)
        items, positions, entropy = self._selector.likelihood(split)
        of_slate = split.chosen if preferred is scores else scores.gather(1, slates)
        return SlateLikelihood(
            items=items.masked_fill(split.hidden, 0.0),
            positions=positions.masked_fill(split.hidden, 0.0),
            click_scores=of_slate.masked_fill(~self.has_code[slates], 0.0),
            entropy=entropy,
        )

    def click_scores(self, state: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Return the click scores of any items; see ``SlatePolicy``."""
        return self._head.of_items(state, items).float()

    def item_scores(self, state: torch.Tensor, observation: Observation) -> torch.Tensor:
        """Return the scores of all items; see ``SlatePolicy``."""
        return self._preferred(self._head(state))

    def scores_of(
        self, state: torch.Tensor, observation: Observation, items: torch.Tensor
    ) -> torch.Tensor:
        """Return the scores of given items; see ``SlatePolicy``."""
        scores = self._head.of_items(state, items)
        optimism = self._head.optimism()
        return scores if optimism is None else scores + optimism[items]

    def _preferred(self, scores: torch.Tensor) -> torch.Tensor:
        """Return what slates are drawn and ranked by, given click scores, (batch, item)."""
        optimism = self._head.optimism()
        return scores if optimism is None else scores + optimism
