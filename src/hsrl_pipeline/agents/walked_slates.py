"""Distributions over slates that are walked down the trie, code after code.

``TrieSlates`` chooses among the children of a prefix. ``CodeSlates`` has one softmax over the
catalogue, and walks by how much of it lies below each prefix.
"""

from __future__ import annotations

import torch

from hsrl_pipeline.agents.slate_decoding import ItemPolicy, ShelfDecoder
from hsrl_pipeline.agents.slate_policies import CatalogueSlates, SlateLikelihood
from hsrl_pipeline.agents.slate_selection import SlateSelector
from hsrl_pipeline.networks.code_masses import CodeMasses
from hsrl_pipeline.networks.trie_policy import TriePolicy
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie
from hsrl_pipeline.shapes import PAD_ID


class TrieSlates:
    """Slates drawn by walking down the trie, each code among the children of its prefix.

    Args:
        head: Distributions of codes.
        slate_size: Items per slate.
        beam_width: Prefixes kept per level when taking the likeliest items.
    """

    def __init__(self, head: TriePolicy, slate_size: int, beam_width: int) -> None:
        self._head = head
        self._decoder = ShelfDecoder(head, slate_size, beam_width)
        self._beam_width = beam_width
        trie = head.trie
        self._log_shelf_sizes = trie.n_items_below(0).log().to(trie.log_shares)

    @property
    def has_code(self) -> torch.Tensor:
        """(item,) bool. Which items can be recommended."""
        return self._head.trie.has_code

    def decode(
        self,
        state: torch.Tensor,
        observation: Observation,
        *,
        draw: bool,
        generator: torch.Generator | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return slates and their log-probabilities; see ``SlatePolicy``."""
        slates, item_log_prob, excluded = self._decoder.decode(
            state, _still_there(self._head.trie, observation), draw=draw, generator=generator
        )
        if not draw:
            return slates, state.new_zeros(len(state))
        return slates, self._decoder.positions_log_prob(item_log_prob, excluded).sum(-1)

    def likelihood(
        self, state: torch.Tensor, observation: Observation, slates: torch.Tensor
    ) -> SlateLikelihood:
        """Return the likelihood of slates; see ``SlatePolicy``."""
        shown = _still_there(self._head.trie, observation)
        likelihood = _walked_likelihood(self._head, self._decoder, state, shown, slates)
        return likelihood._replace(click_scores=likelihood.items + self._log_n_items(slates))

    def click_scores(self, state: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Return the click scores of any items; see ``SlatePolicy``."""
        scores = self._head.item_log_prob(state, items) + self._log_n_items(items)
        return scores.float()

    def item_scores(self, state: torch.Tensor, observation: Observation) -> torch.Tensor:
        """Return the log-probabilities of all items; see ``SlatePolicy``."""
        trie = self._head.trie
        scores = state.new_full((len(state), trie.n_items + 1), -torch.inf)
        items = trie.leaf_items.expand(len(state), -1)
        return scores.scatter(1, items, self.scores_of(state, observation, items))

    def scores_of(
        self, state: torch.Tensor, observation: Observation, items: torch.Tensor
    ) -> torch.Tensor:
        """Return the log-probabilities of given items; see ``SlatePolicy``."""
        shown = _still_there(self._head.trie, observation)
        return self._head.item_log_prob(state, items, shown).float()

    def best_items(
        self, state: torch.Tensor, observation: Observation, n: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the best items that a beam finds, which is as wide as the request needs.

        Args:
            state: (batch, embed) float32. Encoded observations.
            observation: The observations; shown items stay out.
            n: Number of items; divisible by the number of shelves.

        Returns:
            items: (batch, n) int64. Shelf by shelf, best first; PAD_ID where there are no more.
            log_prob: (batch, n) float32; ``-inf`` there.
        """
        decoder = ShelfDecoder(self._head, n, self._beam_width)
        shown = _still_there(self._head.trie, observation)
        items, log_prob, _ = decoder.decode(state, shown, draw=False)
        return items, log_prob.masked_fill(items == PAD_ID, -torch.inf)

    def _log_n_items(self, items: torch.Tensor) -> torch.Tensor:
        """Return the log of how many items each item's shelf has: what an even draw divides by."""
        return self._log_shelf_sizes[self._head.trie.paths_of(items)[..., 0]]


class CodeSlates(CatalogueSlates):
    """Slates drawn from one softmax over the items, at a cost that ignores how many there are.

    The same distribution as ``CatalogueSlates`` has where nothing is left out and no item has a
    score of its own. Shown items leave their share to the others of their code. The likeliest
    items are found by a look at all of them.

    Args:
        masses: Scores of codes and how many items lie under each.
        selector: Ranks all items for greedy slates.
        slate_size: Items per slate.
    """

    def __init__(self, masses: CodeMasses, selector: SlateSelector, slate_size: int) -> None:
        super().__init__(masses.head, selector)
        self._masses = masses
        self._slate_size = slate_size

    def decode(
        self,
        state: torch.Tensor,
        observation: Observation,
        *,
        draw: bool,
        generator: torch.Generator | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return slates and their log-probabilities; see ``SlatePolicy``."""
        if not draw:
            return super().decode(state, observation, draw=False)
        decoder = ShelfDecoder(self._masses.walk(state), self._slate_size, beam_width=1)
        shown = _still_there(self._masses.trie, observation)
        slates, items, excluded = decoder.decode(state, shown, draw=True, generator=generator)
        return slates, decoder.positions_log_prob(items, excluded).sum(-1)

    def likelihood(
        self, state: torch.Tensor, observation: Observation, slates: torch.Tensor
    ) -> SlateLikelihood:
        """Return the likelihood of slates; see ``SlatePolicy``."""
        walk = self._masses.walk(state)
        decoder = ShelfDecoder(walk, self._slate_size, beam_width=1)
        shown = _still_there(self._masses.trie, observation)
        likelihood = _walked_likelihood(walk, decoder, state, shown, slates)
        return likelihood._replace(click_scores=walk.item_scores(slates).float())


def _still_there(trie: CodeTrie, observation: Observation) -> torch.Tensor:
    """Return (batch, shown) int64, PAD_ID also for shown items that have left the trie."""
    return observation.shown.masked_fill(~trie.has_code[observation.shown], PAD_ID)


def _walked_likelihood(
    policy: ItemPolicy,
    decoder: ShelfDecoder,
    state: torch.Tensor,
    shown: torch.Tensor,
    slates: torch.Tensor,
) -> SlateLikelihood:
    """Return the likelihood of slates under a walk down the trie; click scores are left at 0."""
    items = policy.item_log_prob(state, slates, shown).float()
    possible = policy.trie.has_code[slates] & (items > -torch.inf)
    items = torch.where(possible, items, 0.0)
    excluded = decoder.probability_of_shown(state, shown) if shown.shape[1] else None
    # score-function gradient of the entropy: E[-log pi(i) * grad log pi(i)]
    surprise = -items.detach()
    weight = surprise - surprise.mean(-1, keepdim=True)
    entropy = (surprise + weight * (items - items.detach())).mean(-1)
    positions = decoder.positions_log_prob(items, excluded)
    return SlateLikelihood(
        items=items,
        positions=torch.where(possible, positions, 0.0),
        click_scores=torch.zeros_like(items),
        entropy=entropy,
    )
