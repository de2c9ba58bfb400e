"""The softmax over the catalogue of look-up scores, walked code by code.

Scores that are sums of look-ups add up over whole branches of codes without a look at the items:
how many items lie under each code is all that matters. So a normaliser, a draw and a likelihood
cost the same for a thousand items and for a million.
"""

from __future__ import annotations

import torch
from torch import nn

from hsrl_pipeline.networks.code_scores import CodeScores
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie
from hsrl_pipeline.shapes import PAD_ID

MOST_LEVELS = 3
"""Levels for which the counts of all codes fit in one table per first code."""

NOTHING = -1e30
"""Log-mass of codes without items: finite, so that gradients beside it stay defined."""


class CodeMasses(nn.Module):
    """How many items lie under each code, for walks that go by the look-up scores of codes.

    Args:
        head: Scores of codes, with no part of an item's own: neither item vectors nor deviations.
        trie: The items that can be recommended, with the priors that the head was given.

    Raises:
        ValueError: Items have scores of their own, or semantic IDs have more than three levels.
    """

    counts: torch.Tensor

    def __init__(self, head: CodeScores, trie: CodeTrie) -> None:
        super().__init__()
        if head.vector_query is not None or head.deviations is not None:
            raise ValueError("masses of codes know no item vectors and no deviations of items")
        if trie.n_levels > MOST_LEVELS:
            raise ValueError(
                f"semantic IDs have {trie.n_levels} levels, expected at most {MOST_LEVELS}"
            )
        self.head = head
        self.trie = trie
        path = torch.empty(trie.n_roots, 0, dtype=torch.int64)
        root = torch.arange(trie.n_roots)
        for level in range(1, trie.n_levels + 1):
            n_children = trie.get_buffer(f"n_children_{level}").cpu()
            parents = torch.arange(len(n_children)).repeat_interleave(n_children)
            code = trie.get_buffer(f"code_{level}").cpu().unsqueeze(1)
            path, root = torch.cat([path[parents], code], dim=1), root[parents]
            self.register_buffer(f"root_{level}", root, persistent=False)
            self.register_buffer(f"first_code_{level}", path[:, 0].clone(), persistent=False)
        counts = torch.zeros(trie.n_roots, *trie.vocab_sizes)
        n_items = trie.get_buffer(f"n_children_{trie.n_levels + 1}").cpu()
        counts[(root, *path.unbind(1))] = n_items.to(counts.dtype)
        self.register_buffer("counts", counts, persistent=False)

    def walk(self, state: torch.Tensor) -> CodeWalk:
        """Return the distribution over items in given states.

        Args:
            state: (batch, embed) float32. c_0.
        """
        return CodeWalk(self, state)

    def branch(self, level: int, nodes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return root and first code, (...) int64 each, of nodes of a level from 1 to L."""
        return self.get_buffer(f"root_{level}")[nodes], self.get_buffer(f"first_code_{level}")[
            nodes
        ]


class CodeWalk:
    """One softmax over the items of each shelf, as choices on the way down the trie.

    At every prefix a code counts with the mass of all items below it, so that the choices multiply
    to the softmax of the items' scores:

        M_3(z1, z2, z3) = n(z1, z2, z3) exp(a_3[z1, z3])
        M_2(z1, z2) = exp(a_2[z1, z2]) sum_z3 M_3(z1, z2, z3)
        M_1(z1) = exp(a_1[z1]) sum_z2 M_2(z1, z2)

    The inner sum is a matrix product per first code, of the codes' scores with their counts.

    Args:
        masses: Counts of the codes.
        state: (batch, embed) float32. c_0.
    """

    def __init__(self, masses: CodeMasses, state: torch.Tensor) -> None:
        self.trie = masses.trie
        self._masses = masses
        first, *further = masses.head.code_scores(state)
        self._scores = [first, *further]
        counts = masses.counts
        existing = counts > 0
        below = counts.log().masked_fill(~existing, NOTHING)
        if len(further) == 2:
            largest = further[1].amax(-1, keepdim=True).detach()
            weights = (further[1] - largest).exp().transpose(0, 1)
            n_roots, n_first, n_second, n_third = counts.shape
            table = counts.permute(1, 3, 0, 2).reshape(n_first, n_third, n_roots * n_second)
            sums = (weights @ table).view(n_first, -1, n_roots, n_second)
            tiny = torch.finfo(sums.dtype).tiny
            logs = sums.clamp(min=tiny).log().permute(1, 2, 0, 3) + largest.unsqueeze(1)
            existing = existing.any(-1)
            below = logs.masked_fill(~existing, NOTHING)
        self._second: torch.Tensor | None = None
        if further:
            self._second = further[0].unsqueeze(1) + below
            existing = existing.any(-1)
            below = self._second.logsumexp(-1).masked_fill(~existing, NOTHING)
        self._first = first.unsqueeze(1) + below
        self._total = self._first.logsumexp(-1)

    def enter(self, state: torch.Tensor, roots: torch.Tensor) -> torch.Tensor:
        """Return the state as it is: shelves are told apart by the masses below their roots."""
        return state

    def choose(
        self, level: int, context: torch.Tensor, nodes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the distribution over the children of nodes.

        Args:
            level: Level of the children, from 1 to L.
            context: (row, beam, any) float32. Its rows alone count: as many per state as there
                are shelves.
            nodes: (row, beam) int64. Nodes of level ``level - 1``, or a single one for all rows.

        Returns:
            log_probs: (row, beam, slot) float32. ``-inf`` in empty slots.
            children: (row, beam, slot) int64. Node numbers.
            codes: (row, beam, slot) int64.
        """
        nodes = nodes.expand(context.shape[:2])
        children, codes, valid = self.trie.branches(level, nodes)
        rows = torch.arange(len(context), device=context.device)
        rows = (rows // (len(context) // len(self._total))).unsqueeze(1)
        if level == 1:
            table = self._first[rows, nodes]
        else:
            root, first_code = self._masses.branch(level - 1, nodes)
            if level == 2 and self._second is not None:
                table = self._second[rows, root, first_code]
            else:
                table = self._scores[-1][rows, first_code]
        scores = table.gather(-1, codes)
        if level == 3:
            n_items = self.trie.n_children(level + 1, children)
            scores = scores + n_items.to(scores.dtype).log()
        return scores.masked_fill(~valid, -torch.inf).log_softmax(-1), children, codes

    def refine(self, level: int, context: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Return the context as it is: the scores of all codes are known."""
        return context

    def item_log_prob(
        self, state: torch.Tensor, items: torch.Tensor, shown: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the log-probability of given items among those of their shelf.

        Args:
            state: (batch, embed) float32. Not read: the scores are known.
            items: (batch, any) int64. PAD_ID costs nothing.
            shown: (batch, shown) int64. Items that may not be shown again, PAD_ID elsewhere: they
                leave their share to the other items of their code.

        Returns:
            (batch, any) float32. 0 for PAD_ID; without meaning for items without a semantic ID.
        """
        first_code, *further = self._masses.head.codes[items].unbind(-1)
        scores = self._scores[0].gather(1, first_code)
        rows = torch.arange(len(items), device=items.device).unsqueeze(1)
        for table, code in zip(self._scores[1:], further, strict=True):
            scores = scores + table[rows, first_code, code]
        path = self.trie.paths_of(items)
        n_items = self.trie.n_children(self.trie.n_levels + 1, path[..., -2])
        total = self._total.gather(1, path[..., 0])
        shares = self.trie.item_log_shares(items, shown).to(scores.dtype)
        log_prob = scores + n_items.to(scores.dtype).log() + shares - total
        return log_prob.masked_fill(items == PAD_ID, 0.0)
