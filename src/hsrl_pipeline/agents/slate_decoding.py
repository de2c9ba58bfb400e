"""Slates from a trie policy: beam search, or an exact draw without replacement.

Both walk down the trie with as many prefixes as the slate needs, so their cost depends on slate
size and vocabulary and not on the catalogue.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch

from hsrl_pipeline.losses.slate_likelihood import slate_log_prob
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie
from hsrl_pipeline.semantic_ids.shown_items import NOWHERE, ShownItems
from hsrl_pipeline.shapes import PAD_ID


class ItemPolicy(Protocol):
    """A distribution over items as choices down the trie; ``TriePolicy`` tells the shapes."""

    trie: CodeTrie

    def enter(self, state: torch.Tensor, roots: torch.Tensor) -> torch.Tensor:
        """Return the contexts at roots, one root per shelf."""

    def choose(
        self, level: int, context: torch.Tensor, nodes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return log-probabilities, nodes and codes of the children of nodes."""

    def refine(self, level: int, context: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Return the contexts after codes of ``level`` were taken."""

    def item_log_prob(
        self, state: torch.Tensor, items: torch.Tensor, shown: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the log-probability of given items, when others may not be shown again."""


class DecodedSlates(NamedTuple):
    """Items in decreasing (perturbed) log-probability.

    Attributes:
        items: (batch, beam) int64. Distinct items; PAD_ID where the catalogue has no more.
        log_prob: (batch, beam) float32. Log-probability of each item by itself.
    """

    items: torch.Tensor
    log_prob: torch.Tensor


class _Beam(NamedTuple):
    """Prefixes under consideration; all (row, beam), contexts (row, beam, embed).

    ``rank`` orders prefixes: the log-probability, or its Gumbel perturbation when drawing.
    """

    nodes: torch.Tensor
    context: torch.Tensor
    log_prob: torch.Tensor
    rank: torch.Tensor


def decode_items(
    policy: ItemPolicy,
    state: torch.Tensor,
    roots: torch.Tensor,
    width: int,
    *,
    draw: bool,
    shown: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
) -> DecodedSlates:
    """Return the best items that a beam finds, or an exact draw without replacement.

    The draw is the stochastic beam search of Kool, van Hoof and Welling (2019): each prefix
    carries the largest Gumbel-perturbed log-probability among the items below it, and children
    are perturbed given that their largest equals their parent's. The ``width`` items that come
    out are those a Gumbel-top-K over the whole catalogue would give.

    Items that may not be shown again are left out on the way down: a prefix without another item
    is never entered, and probabilities are not rescaled for it. A prefix that has lost some of its
    items still counts with all of its probability, which may be too much, so such prefixes take
    no place of the others. Of the ``width`` and more that are kept at a level, ``width`` at least
    have all their items, and each of these has an item at least as good as anything below the
    prefixes that were cut off. So a draw stays exact.

    Args:
        policy: Distribution over the trie.
        state: (row, embed) float32.
        roots: (row,) int64. Root that each row starts from.
        width: Prefixes kept per level, and items returned. Where shown items are left out, as
            many prefixes more are kept as have lost some of their items.
        draw: Draw; otherwise search for the most likely.
        shown: (row, shown) int64. Items that may not be shown again, each once, PAD_ID elsewhere.
        generator: Random stream of the draw.

    Returns:
        Items and their log-probabilities, best first.
    """
    trie = policy.trie
    zero = state.new_zeros(len(state), 1)
    beam = _Beam(roots.unsqueeze(1), policy.enter(state, roots).unsqueeze(1), zero, zero)
    left_out = None
    if shown is not None and shown.shape[1]:
        left_out = ShownItems(trie, shown, roots)
    for level in range(1, trie.n_levels + 1):
        # a single root is the same node in every row
        asked = beam.nodes[:1] if level == 1 and trie.n_roots == 1 else beam.nodes
        log_probs, children, codes = policy.choose(level, beam.context, asked)
        kept, dead = width, None
        if left_out is not None:
            alive = beam.nodes.masked_fill(beam.rank == -torch.inf, NOWHERE)
            dead = left_out.dead_children(level, alive, children.shape[-1])
            kept += left_out.n_touched(level)
        beam, parent, slot = _extend(
            beam, log_probs, children, dead, width=kept, draw=draw, generator=generator
        )
        if level < trie.n_levels:
            taken = codes.flatten(1).gather(1, parent * codes.shape[-1] + slot)
            beam = beam._replace(context=policy.refine(level, beam.context, taken))
    leaves, log_shares = trie.leaf_choice(beam.nodes, shown)
    beam, _, _ = _extend(
        beam, log_shares.to(state.dtype), leaves, width=width, draw=draw, generator=generator
    )
    items = beam.nodes.masked_fill(beam.log_prob == -torch.inf, PAD_ID)
    return DecodedSlates(items, beam.log_prob)


def _extend(
    beam: _Beam,
    log_probs: torch.Tensor,
    children: torch.Tensor,
    dead: torch.Tensor | None = None,
    *,
    width: int,
    draw: bool,
    generator: torch.Generator | None,
) -> tuple[_Beam, torch.Tensor, torch.Tensor]:
    """Replace prefixes by their best living children; returns parents and slots of those kept."""
    total = beam.log_prob.unsqueeze(-1) + log_probs
    rank = _perturb(total, beam.rank, generator) if draw else total
    if dead is not None:
        # after the perturbation: the largest below a prefix may be below a dead child
        total, rank = (values.masked_fill(dead, -torch.inf) for values in (total, rank))
    kept = min(width, rank.shape[1] * rank.shape[2])
    best = rank.flatten(1).topk(kept, dim=-1)
    parent = best.indices // rank.shape[2]
    context = beam.context.gather(1, parent.unsqueeze(-1).expand(-1, -1, beam.context.shape[-1]))
    extended = _Beam(
        children.flatten(1).gather(1, best.indices),
        context,
        total.flatten(1).gather(1, best.indices),
        best.values,
    )
    return extended, parent, best.indices % rank.shape[2]


def _perturb(
    log_prob: torch.Tensor, parent_rank: torch.Tensor, generator: torch.Generator | None
) -> torch.Tensor:
    """Add Gumbel noise to children, given that the largest result equals the parent's rank.

    Args:
        log_prob: (row, beam, slot) float32, ``-inf`` in empty slots.
        parent_rank: (row, beam) float32, ``-inf`` for parents without items.
        generator: Random stream.

    Returns:
        (row, beam, slot) float32, ``-inf`` in empty slots.

    References:
        Kool, van Hoof and Welling 2019, section 4.1 and its numerically stable form, appendix B.3.
    """
    waiting = torch.empty_like(log_prob).exponential_(generator=generator)
    noisy = log_prob - waiting.log()
    largest = noisy.max(-1, keepdim=True).values
    target = parent_rank.unsqueeze(-1)
    gap = target - noisy + _log1mexp(largest - noisy)
    shifted = target - gap.clamp(min=0.0) - torch.nn.functional.softplus(-gap.abs())
    dead = (log_prob == -torch.inf) | (target == -torch.inf)
    return shifted.masked_fill(dead, -torch.inf)


def _log1mexp(positive: torch.Tensor) -> torch.Tensor:
    """Return ``log(1 - exp(-x))`` for x >= 0, ``-inf`` at 0, without cancellation."""
    small = positive < math.log(2.0)
    return torch.where(small, (-torch.expm1(-positive)).log(), torch.log1p(-(-positive).exp()))


class ShelfDecoder:
    """Decodes slates, equal shares from each shelf, and keeps shown items out.

    Args:
        policy: Distribution over the trie; one root per shelf.
        slate_size: Items per slate.
        beam_width: Prefixes kept per level in the greedy search, at least the share of a shelf.
    """

    def __init__(self, policy: ItemPolicy, slate_size: int, beam_width: int) -> None:
        self._policy = policy
        self._n_shelves = policy.trie.n_roots
        if slate_size % self._n_shelves:
            raise ValueError(
                f"slate_size {slate_size} does not divide among {self._n_shelves} shelves"
            )
        self._share = slate_size // self._n_shelves
        self._beam_width = max(beam_width, self._share)

    def decode(
        self,
        state: torch.Tensor,
        shown: torch.Tensor,
        *,
        draw: bool,
        generator: torch.Generator | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return a slate per state.

        Shown items leave their share to the other items of their code. Where there is none, the
        code is passed over: leaving items out of a draw in order is the same as drawing from what
        remains.

        Args:
            state: (batch, embed) float32.
            shown: (batch, shown) int64. Items that may not be shown again, PAD_ID elsewhere.
            draw: Draw; otherwise the most likely.
            generator: Random stream of the draw.

        Returns:
            slates: (batch, slate) int64. Shelf by shelf, best first.
            log_prob: (batch, slate) float32. Log-probability of each item on its shelf by itself.
            excluded: (batch, shelf) float32 probability of the codes all of whose items were
                shown; None when all are allowed, and without a draw, which alone needs it.
        """
        batch = len(state)
        rows = state.repeat_interleave(self._n_shelves, dim=0)
        roots = torch.arange(self._n_shelves, device=state.device).repeat(batch)
        found = decode_items(
            self._policy,
            rows,
            roots,
            self._share if draw else self._beam_width,
            draw=draw,
            shown=shown.repeat_interleave(self._n_shelves, dim=0),
            generator=generator,
        )
        items, log_prob = found.items[:, : self._share], found.log_prob[:, : self._share]
        excluded = None
        if draw and shown.shape[1]:
            excluded = self.probability_of_shown(state, shown)
        return items.reshape(batch, -1), log_prob.reshape(batch, -1), excluded

    def probability_of_shown(self, state: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        """Return the probability of the codes all of whose items were shown, shelf by shelf.

        Args:
            state: (batch, embed) float32.
            shown: (batch, shown) int64. Distinct items, PAD_ID for none.

        Returns:
            (batch, shelf) float32.
        """
        shown = shown[:, (shown != PAD_ID).any(0)]
        nothing = state.new_zeros(len(state), self._n_shelves)
        if not shown.shape[1]:
            return nothing
        log_prob = self._policy.item_log_prob(state, shown, shown)
        probability = log_prob.exp().masked_fill(shown == PAD_ID, 0.0)
        shelves = self._policy.trie.paths_of(shown)[..., 0]
        return nothing.to(probability.dtype).scatter_add(1, shelves, probability)

    def positions_log_prob(
        self, item_log_prob: torch.Tensor, excluded: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the log-probability of each position given the ones before it on its shelf.

        Args:
            item_log_prob: (batch, slate) float32. Log-probability of each item by itself.
            excluded: (batch, shelf) float32 or None. Probability of items kept out.

        Returns:
            (batch, slate) float32.
        """
        by_shelf = item_log_prob.reshape(-1, self._share)
        kept_out = None if excluded is None else excluded.flatten()
        return slate_log_prob(by_shelf, kept_out).view_as(item_log_prob)
