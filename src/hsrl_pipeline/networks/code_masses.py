"""The softmax over the catalogue of look-up scores, walked code by code.

Scores that are sums of look-ups add up over whole branches of codes without a look at the items:
how many items lie under each code is all that matters. So a normaliser, a draw and a likelihood
cost the same for a thousand items and for a million.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from hsrl_pipeline.networks.catalogue_walk import CatalogueWalk, state_of_rows
from hsrl_pipeline.networks.code_scores import CodeScores
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie
from hsrl_pipeline.shapes import PAD_ID

MOST_LEVELS = 3
"""Levels for which the counts of all codes fit in one table per first code."""

NOTHING = -1e30
"""Log-mass of codes without items: finite, so that gradients beside it stay defined."""

LARGEST_EXPONENT = 80.0
"""Numbers whose exponentials float32 holds, and sums of thousands of them."""


class CodeMasses(nn.Module):
    """How many items lie under each code, for walks that go by the look-up scores of codes.

    Args:
        head: Scores of codes, with no part of an item's own: neither item vectors nor deviations.
        trie: The items that can be recommended, with the priors that the head was given.

    Raises:
        ValueError: Items have scores of their own, or semantic IDs have more than three levels.
    """

    without_items: torch.Tensor

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
        root, path = torch.arange(trie.n_roots), torch.empty(trie.n_roots, 0, dtype=torch.int64)
        for level in range(1, trie.n_levels + 1):
            parents = trie.get_buffer(f"parent_{level}").cpu()
            code = trie.get_buffer(f"code_{level}").cpu().unsqueeze(1)
            root, path = root[parents], torch.cat([path[parents], code], dim=1)
            self._keep(f"root_{level}", root)
            self._keep(f"first_code_{level}", path[:, 0].clone())
        n_items = trie.get_buffer(f"n_children_{trie.n_levels + 1}").cpu().float()
        # first code, third code, root and second code: as the matrices that walks multiply by
        first, *further = trie.vocab_sizes
        counts = torch.zeros(first, *further[1:], trie.n_roots, *further[:1])
        counts[(path[:, 0], *path[:, 2:].unbind(1), root, *path[:, 1:2].unbind(1))] = n_items
        if len(further) == 2:
            self._keep("counts", counts.flatten(2))
            counts = counts.sum(1)
            self._keep("least", (counts > 0) * torch.finfo(counts.dtype).tiny)
        else:
            self._keep("log_counts", counts.log())
        of_first_codes = counts.sum(-1) if further else counts
        self._keep("without_items", of_first_codes.t() == 0)

    def walk(self, state: torch.Tensor) -> CodeWalk:
        """Return the distribution over items in given states.

        Args:
            state: (batch, embed) float32. c_0.
        """
        return CodeWalk(self, state)

    def branch(self, level: int, nodes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return root and first code, (...) int64 each, of nodes of a level from 1 to L."""
        roots, first_codes = (
            self.get_buffer(f"root_{level}"),
            self.get_buffer(f"first_code_{level}"),
        )
        return roots[nodes], first_codes[nodes]

    def _keep(self, name: str, values: torch.Tensor) -> None:
        self.register_buffer(name, values, persistent=False)


class CodeWalk(CatalogueWalk):
    """One softmax over the items of each shelf, as choices on the way down the trie.

    At every prefix a code counts with the mass of all items below it, so that the choices multiply
    to the softmax of the items' scores:

        M_3(z1, z2, z3) = n(z1, z2, z3) exp(a_3[z1, z3])
        M_2(z1, z2) = exp(a_2[z1, z2]) sum_z3 M_3(z1, z2, z3)
        M_1(z1) = exp(a_1[z1]) sum_z2 M_2(z1, z2)

    The innermost sum is a matrix product per first code, of the third codes' weights with how many
    items lie below each pair of codes.

    Args:
        masses: Counts of the codes.
        state: (batch, embed) float32. c_0.
    """

    def __init__(self, masses: CodeMasses, state: torch.Tensor) -> None:
        self.trie = masses.trie
        self._masses = masses
        self._first = masses.head.first_scores(state)
        self._contexts = masses.head.contexts(state)
        self._further = masses.head.further_scores(self._contexts)
        self._asked: tuple[torch.Tensor, torch.Tensor] | None = None
        if len(self._further) == 2:
            below, self._pairs = _MassBelow.apply(  # type: ignore[no-untyped-call]
                *self._further, masses.get_buffer("counts"), masses.get_buffer("least")
            )
        elif self._further:
            self._pairs = masses.get_buffer("log_counts").unsqueeze(1)
            # finite where nothing exists, so that gradients beside it stay defined
            of_pairs = self._further[0].unsqueeze(2) + self._pairs.clamp(min=NOTHING)
            below = of_pairs.logsumexp(-1)
        else:
            below = masses.get_buffer("log_counts").unsqueeze(1)
        below = below.permute(1, 2, 0).masked_fill(masses.without_items, NOTHING)
        self._of_first_codes = self._first.unsqueeze(1) + below
        self._total = self._of_first_codes.logsumexp(-1)

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
        rows = state_of_rows(context, len(self._total))
        if level == 1:
            table = self._of_first_codes[rows, nodes]
        else:
            root, first_code = self._masses.branch(level - 1, nodes)
            table = _rows_of(self._further[level - 2], first_code, rows)
            if level == 2:
                table = table + _rows_of(self._pairs, first_code, rows % self._pairs.shape[1], root)
        scores = table.gather(-1, codes)
        if level == 3:
            n_items = self.trie.n_children(level + 1, children)
            scores = scores + n_items.to(scores.dtype).log()
        return scores.masked_fill(~valid, -torch.inf).log_softmax(-1), children, codes

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
        path = self.trie.paths_of(items)
        n_items = self.trie.n_children(self.trie.n_levels + 1, path[..., -2])
        total = self._total.gather(1, path[..., 0])
        shares = self.trie.item_log_shares(items, shown).to(total.dtype)
        log_prob: torch.Tensor = (
            self.code_scores(items) + n_items.to(total.dtype).log() + shares - total
        )
        return log_prob.masked_fill(items == PAD_ID, 0.0)

    def item_scores(self, items: torch.Tensor) -> torch.Tensor:
        """Return (batch, any) float32, the scores of items, (batch, any) int64, as of the head."""
        scores, priors = self.code_scores(items), self._masses.head.item_priors
        total: torch.Tensor = scores if priors is None else scores + priors[items]
        return total

    def code_scores(self, items: torch.Tensor) -> torch.Tensor:
        """Return (batch, any) float32, the scores of the codes of items, (batch, any) int64."""
        if self._asked is None or self._asked[0] is not items:
            first_code, *further = self._masses.head.codes[items].unbind(-1)
            scores: torch.Tensor = self._first.gather(1, first_code)
            if further:
                rows = torch.arange(len(items), device=items.device).unsqueeze(1)
                contexts = _rows_of(self._contexts, first_code, rows)
                scores = scores + self._masses.head.scores_in_contexts(contexts, further)
            # the items of a slate are asked for twice: for their likelihood and their clicks
            self._asked = items, scores
        return self._asked[1]


def _rows_of(table: torch.Tensor, *places: torch.Tensor) -> torch.Tensor:
    """Return (..., last axis) of a table, at one (...) int64 place per other axis."""
    at = places[0]
    for place, size in zip(places[1:], table.shape[1:-1], strict=True):
        at = at * size + place
    return F.embedding(at, table.flatten(0, -2))


class _MassBelow(torch.autograd.Function):
    """Log-masses of first codes, and of pairs of codes without the second code's own score.

    Written out because every table is large: a pass less is time won, and of the pairs' sums only
    what the gradient needs is kept.
    """

    @staticmethod
    @torch.amp.custom_fwd(  # type: ignore[untyped-decorator]
        device_type="cuda", cast_inputs=torch.float32
    )
    def forward(
        ctx: Any,
        second: torch.Tensor,
        third: torch.Tensor,
        counts: torch.Tensor,
        least: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (first code, batch, root) and (first code, batch, root, second code) float32.

        ``-inf`` where no item is. Of pairs, only differences under one first code have a meaning.
        """
        n_first, batch, n_second = second.shape
        largest = third.amax(-1, keepdim=True)
        weights = (third - largest).exp_()
        sums = torch.bmm(weights, counts).view(n_first, batch, -1, n_second)
        # existing codes that are all but ruled out keep a mass, others have none
        sums += least.unsqueeze(1)
        log_sums = sums.log()
        scores = log_sums + second.unsqueeze(2)
        mass = scores.logsumexp(-1)
        ctx.save_for_backward(second, weights, counts, sums, mass)
        ctx.mark_non_differentiable(log_sums)
        return mass + largest, log_sums

    @staticmethod
    @torch.amp.custom_bwd(device_type="cuda")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        second, weights, counts, sums, mass = ctx.saved_tensors
        # the shares of pairs in the mass, divided by their sums; other pairs meet counts of 0
        shares = second.unsqueeze(2) - mass.masked_fill(mass == -torch.inf, torch.inf).unsqueeze(-1)
        shares.clamp_(max=LARGEST_EXPONENT).exp_().mul_(gradients[0].unsqueeze(-1))
        of_weights = torch.bmm(shares.flatten(2), counts.mT)
        return shares.mul_(sums).sum(2), of_weights.mul_(weights), None, None
