"""From code distributions to item likelihoods, through the fixed item-to-code table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from hsrl_pipeline.networks.catalogue_walk import CatalogueWalk, state_of_rows
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie

LARGEST_DENSE = 2**24
"""Entries up to which the table of last codes per prefix is dense; beyond, it is sparse."""


class SemanticItems(nn.Module):
    """Likelihood of items under per-level code distributions (Eq. 14).

    Items that share a semantic ID share its probability as their priors say, evenly where these
    are equal: ``pi(z) / |S(z)|`` then, so that a code does not gain from holding many items
    (docs/protocol.md#semantic-ids-and-item-probability). Shelves are filled each by itself, so
    ``S(z)`` holds the items of one shelf.

    Args:
        codes: (item, level) int64 numpy. Semantic IDs, row 0 all -1. An item whose codes are all
            -1 has no semantic ID: it has likelihood 0 and is never recommended.
        vocab_sizes: Number of codes per level.
        shelves: (item,) int64 or None. Shelf of each item from 1; row 0 is 0.
        priors: (item,) float32 or None. Log-odds of the items of one code; None for equal ones.

    Raises:
        ValueError: A code lies outside its level's vocabulary; names item and level.
    """

    codes: torch.Tensor
    log_shares: torch.Tensor
    followed: torch.Tensor

    def __init__(
        self,
        codes: np.ndarray,
        vocab_sizes: tuple[int, ...],
        shelves: np.ndarray | None = None,
        priors: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.trie = CodeTrie(codes, vocab_sizes, shelves, priors)
        self.n_levels = len(vocab_sizes)
        self._keep("codes", torch.from_numpy(np.where(codes < 0, 0, codes)).long())
        shares = self.trie.log_shares.masked_fill(~self.trie.has_code, -torch.inf)
        self._keep("log_shares", shares)
        self._keep("followed", self._followed_by(vocab_sizes[-1]))

    def catalogue_log_probs(
        self, level_log_probs: Sequence[torch.Tensor], shown: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the log-likelihood of every item.

        Args:
            level_log_probs: Per level (batch, vocab) float32.
            shown: (batch, shown) int64. Items that may not be shown again, PAD_ID elsewhere: they
                leave their share to the other items of their code.

        Returns:
            (batch, item) float32. Column 0 (padding) is ``-inf``. The items of a shelf sum to at
            most 1 in probability: what is missing lies on codes that none of them has.
        """
        batch = level_log_probs[0].shape[0]
        partial = level_log_probs[0].new_zeros(batch, self.trie.n_roots)
        for level, log_probs in enumerate(level_log_probs, start=1):
            partial = partial[:, self._parents(level)] + log_probs[:, self.node_codes(level)]
        items = self.trie.leaf_items
        scores = partial.new_full((batch, self.trie.n_items + 1), -torch.inf)
        scores[:, items] = partial[:, self._parents(self.n_levels + 1)] + self.log_shares[items]
        if shown is not None and self.trie.has_collisions:
            nodes = self.trie.paths_of(shown)[..., -2]
            siblings, log_shares = self.trie.leaf_choice(nodes, shown)
            of_siblings = partial.gather(1, nodes).unsqueeze(-1) + log_shares
            scores.scatter_(1, siblings.flatten(1), of_siblings.flatten(1))
        return scores

    def log_prob(
        self,
        level_log_probs: Sequence[torch.Tensor],
        items: torch.Tensor,
        shown: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the log-likelihood of given items.

        Args:
            level_log_probs: Per level (batch, vocab) float32.
            items: (batch, slate) int64. Items in ``[1, n_items]``.
            shown: (batch, shown) int64. Items that may not be shown again, as above.

        Returns:
            (batch, slate) float32: the sum over levels (Eq. 22's inner sum) plus the log of the
            item's share among the items of its code. ``-inf`` for items without a semantic ID.
        """
        shares = self.trie.item_log_shares(items, shown)
        total = shares.masked_fill(~self.trie.has_code[items], -torch.inf)
        for of_codes in self.code_log_probs(level_log_probs, items):
            total = total + of_codes
        return total

    def code_log_probs(
        self, level_log_probs: Sequence[torch.Tensor], items: torch.Tensor
    ) -> list[torch.Tensor]:
        """Return the log-probabilities of the codes of given items, level by level.

        Args:
            level_log_probs: Per level (batch, vocab) float32.
            items: (batch, slate) int64. Items in ``[1, n_items]``; of those without a semantic ID
                the figures mean nothing.

        Returns:
            ``L`` tensors (batch, slate) float32.
        """
        codes = self.codes[items]
        return [
            log_probs.gather(1, codes[..., level])
            for level, log_probs in enumerate(level_log_probs)
        ]

    def masses(self, level_log_probs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return how much probability lies on the existing codes below each prefix.

        Of a prefix of ``l`` codes it is what levels ``l + 1`` to L give to codes that items have.
        The last level, by far the largest, is one matrix product, whose size follows the number
        of prefixes and the vocabulary.

        Args:
            level_log_probs: Per level (batch, vocab) float32.

        Returns:
            ``L`` tensors (node, batch) float64, for prefixes of 0 to L - 1 codes; in double
            precision, so that what is all but ruled out keeps its proportions.
        """
        probs = [log_probs.t().double().exp() for log_probs in level_log_probs]
        masses = [self.followed @ probs[-1]]
        for level in range(self.n_levels - 1, 0, -1):
            below = probs[level - 1][self.node_codes(level)] * masses[0]
            n_parents = len(self.trie.get_buffer(f"n_children_{level}"))
            above = below.new_zeros(n_parents, below.shape[1])
            masses.insert(0, above.index_add_(0, self._parents(level), below))
        return masses

    def node_codes(self, level: int) -> torch.Tensor:
        """Return (node,) int64, the last code of every prefix of ``level`` codes."""
        return self.trie.get_buffer(f"code_{level}")

    def _parents(self, level: int) -> torch.Tensor:
        return self.trie.get_buffer(f"parent_{level}")

    def _followed_by(self, vocab_size: int) -> torch.Tensor:
        """Return (node, vocab) float64: 1 where a prefix of L - 1 codes goes on with a code."""
        parents, codes = self._parents(self.n_levels), self.node_codes(self.n_levels)
        size = (len(self.trie.get_buffer(f"n_children_{self.n_levels}")), vocab_size)
        ones = torch.ones(len(codes), dtype=torch.float64)
        table = torch.sparse_coo_tensor(
            torch.stack([parents, codes]), ones, size, check_invariants=False
        ).coalesce()
        return table.to_dense() if size[0] * size[1] <= LARGEST_DENSE else table

    def _keep(self, name: str, values: torch.Tensor) -> None:
        self.register_buffer(name, values, persistent=False)


class ItemWalk(CatalogueWalk):
    """Eq. 14 over existing items alone, as choices on the way down the trie.

    At every prefix a code counts with its own probability times the mass below it, so the choices
    multiply to the item's likelihood divided by that of all items: a walk draws from the
    catalogue without a look at each of its items. In Eq. 11-14 no level depends on the codes taken.

    Args:
        items: The catalogue's items.
        level_log_probs: Per level (batch, vocab) float32.
    """

    def __init__(self, items: SemanticItems, level_log_probs: Sequence[torch.Tensor]) -> None:
        self.trie = items.trie
        self._items = items
        self._log_probs = level_log_probs
        self._masses = items.masses(level_log_probs)

    def choose(
        self, level: int, context: torch.Tensor, nodes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the distribution over the children of nodes.

        Args:
            level: Level of the children, from 1 to L.
            context: (row, beam, embed) float32. Its rows alone count: as many per state as there
                are shelves.
            nodes: (row, beam) int64. Nodes of level ``level - 1``, or a single one for all rows.

        Returns:
            log_probs: (row, beam, slot) float32. ``-inf`` in empty slots.
            children: (row, beam, slot) int64. Node numbers.
            codes: (row, beam, slot) int64.
        """
        children, codes, valid = self.trie.branches(level, nodes.expand(context.shape[:2]))
        log_probs = self._log_probs[level - 1]
        rows = state_of_rows(context, len(log_probs)).unsqueeze(2)
        scores = log_probs[rows, codes]
        if level < self._items.n_levels:
            scores = scores + self._masses[level][children, rows].log().to(scores.dtype)
        return scores.masked_fill(~valid, -torch.inf).log_softmax(-1), children, codes

    def item_log_prob(
        self, state: torch.Tensor, items: torch.Tensor, shown: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the log-likelihood of given items among those of their shelf.

        Args:
            state: (batch, embed) float32. Not read: the distributions are known.
            items: (batch, any) int64. Items in ``[1, n_items]``.
            shown: (batch, shown) int64. Items that may not be shown again, PAD_ID elsewhere.

        Returns:
            (batch, any) float32.
        """
        roots = self.trie.paths_of(items)[..., 0]
        total = self._masses[0].t().gather(1, roots).log()
        return self._items.log_prob(self._log_probs, items, shown) - total.to(state.dtype)
