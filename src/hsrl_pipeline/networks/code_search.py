"""The best items of a very large catalogue without a look at each: exact search by code."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from hsrl_pipeline.networks.code_scores import CodeScores
from hsrl_pipeline.networks.top_places import top_places
from hsrl_pipeline.shapes import PAD_ID

FEWEST_ITEMS = 2**16
"""Items from which a search by code is faster than a look at all of them."""

FEWEST_PER_GROUP, LOOSEST = 3.0, 0.75
"""Fewest items per group, and largest radius of groups as a share of the distance from the middle
of all items, both on average. Beyond, bounds would cost more than they save."""

FIRST_GROUPS, LARGEST_SHARE = 512, 8
"""Groups that are opened at first, and the part of all items (one in so many) beyond which a look
at all of them is cheaper."""

MOST_CODES = 2**62
"""Different codes that can be numbered."""

MOST_LATER = 2**12
"""Items that may have come since the groups were made before they are made anew."""

SLACK = 1e-4
"""Rounding errors of bounds and scores, as a share of the largest bound."""

ROWS_AT_A_TIME = 2**14


class CodeSearch(nn.Module):
    """Finds the items of highest score by opening groups of items in the order of their bounds.

    Items that share all codes form a group. None of them scores higher than

        bound(g | s) = sum_l a_l[z_l] + q(s) . m_g + |q(s)| r_g + e_g

    with ``m_g`` the middle and ``r_g`` the radius of the group's vectors, and ``e_g`` the most that
    one of its items has of its own. The groups with the highest bounds are opened first. Then all
    groups are opened whose bound reaches the n-th best score found, so the result is that of a
    look at all items.

    The weights of the head must not change after this was made.

    Args:
        head: Scores of items.

    References:
        The bound of a ball of vectors: Ram and Gray 2012, "Maximum Inner-Product Search using Cone
        Trees", Theorem 3.1.
    """

    order: torch.Tensor
    starts: torch.Tensor
    columns: torch.Tensor
    later: torch.Tensor
    grouped: torch.Tensor
    middles: torch.Tensor | None
    radii: torch.Tensor | None
    most_own: torch.Tensor | None

    def __init__(self, head: CodeScores) -> None:
        super().__init__()
        self.head = head
        self._group()

    @torch.no_grad()
    def set_items(self) -> None:
        """Take over the items that the head scores now.

        Items that left stay in their groups, whose bounds still hold. New ones are looked at one
        by one until there are many of them.
        """
        has_code = self.head.has_code
        later = (has_code & ~self.grouped).nonzero().squeeze(1)
        n_gone = int((self.grouped & ~has_code).sum())
        if len(later) > MOST_LATER or 2 * n_gone > int(self.grouped.sum()):
            self._group()
        else:
            self._keep("later", later)

    def best(
        self, state: torch.Tensor, shown: torch.Tensor, n: int
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return the items of highest score, or None where a look at all items is cheaper.

        Args:
            state: (batch, embed) float32. c_0.
            shown: (batch, shown) int64. Items that may not be shown, PAD_ID elsewhere.
            n: Number of items.

        Returns:
            items: (batch, n) int64. Best first; PAD_ID where no more may be shown.
            scores: (batch, n) float32. Their scores; ``-inf`` there.
        """
        if not self.useful:
            return None
        found = []
        for row in range(len(state)):
            result = self._best_of_one(state[row : row + 1], shown[row], n)
            if result is None:
                return None
            found.append(result)
        items, scores = zip(*found, strict=True)
        return torch.stack(items), torch.stack(scores)

    def _best_of_one(
        self, state: torch.Tensor, shown: torch.Tensor, n: int
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return (n,) items and scores for (1, embed) and (shown,), or None."""
        tables, query = self.head.tables(state), self.head.query(state)
        codes, bounds = self._bounds(tables, query)
        later = self.head.from_tables(tables, query, self.later.unsqueeze(0))[0]

        def open_groups(groups: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            items, scores = self._open(groups, codes, query)
            items, scores = torch.cat([items, self.later]), torch.cat([scores, later])
            allowed = self.head.has_code[items] & ~torch.isin(items, shown)
            best = scores.masked_fill_(~allowed, -torch.inf).topk(min(n, len(items)))
            missing = (0, n - len(best.values))
            items = items[best.indices].masked_fill(best.values == -torch.inf, PAD_ID)
            padded = F.pad(best.values, missing, value=-torch.inf)
            return F.pad(items, missing, value=PAD_ID), padded

        n_first = max(FIRST_GROUPS, 2 * n)
        if n_first >= len(bounds):
            return open_groups(torch.arange(len(bounds), device=bounds.device))
        _, found = open_groups(top_places(bounds.unsqueeze(0), n_first)[0])
        rounding = SLACK * float(bounds.abs().amax())
        groups = (bounds >= found[-1] - rounding).nonzero().squeeze(1)
        n_items = int((self.starts[groups + 1] - self.starts[groups]).sum())
        return open_groups(groups) if n_items * LARGEST_SHARE <= len(self.order) else None

    def _bounds(
        self, tables: torch.Tensor, query: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (group,) float32 twice: sums of look-ups, and what no item's score exceeds."""
        codes = tables[0].index_select(0, self.columns[0])
        for column in self.columns[1:]:
            codes.add_(tables[0].index_select(0, column))
        bounds = codes.clone()
        if query is not None and self.middles is not None and self.radii is not None:
            bounds.addmv_(self.middles, query[0]).add_(self.radii, alpha=float(query.norm()))
        bounds.div_(self.head.temperature)
        return codes, bounds if self.most_own is None else bounds.add_(self.most_own)

    def _open(
        self, groups: torch.Tensor, codes: torch.Tensor, query: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (any,) int64 and float32, the items of (group,) int64 groups and their scores."""
        first, sizes = self.starts[groups], self.starts[groups + 1] - self.starts[groups]
        before = sizes.cumsum(0) - sizes
        places = torch.arange(int(sizes.sum()), device=groups.device)
        items = self.order[places + (first - before).repeat_interleave(sizes)]
        scores = codes[groups].repeat_interleave(sizes)
        if query is not None and self.head.item_vectors is not None:
            scores.addmv_(self.head.item_vectors.index_select(0, items), query[0])
        scores.div_(self.head.temperature)
        own = self.head.own_scores(items)
        return items, scores if own is None else scores.add_(own)

    def _group(self) -> None:
        """Make groups of all items that the head scores now."""
        head = self.head
        items = head.has_code.nonzero().squeeze(1)
        self._keep("grouped", head.has_code)
        self._keep("later", items[:0])
        self.useful = len(items) >= FEWEST_ITEMS and math.prod(head.vocab_sizes) < MOST_CODES
        if not self.useful:
            return
        key = torch.zeros_like(items)
        for code, size in zip(head.codes[items].unbind(1), head.vocab_sizes, strict=True):
            key = key * size + code
        key, places = key.sort(stable=True)
        _, group, sizes = torch.unique_consecutive(key, return_inverse=True, return_counts=True)
        order = items[places]
        self._keep("order", order)
        self.useful = len(items) >= FEWEST_PER_GROUP * len(sizes)
        middles = radii = None
        if self.useful and head.item_vectors is not None:
            middles, radii, spread = _balls(head.item_vectors, order, group, len(sizes))
            self.useful = float(radii.mean()) < LOOSEST * spread
        if not self.useful:
            return
        starts = F.pad(sizes.cumsum(0), (1, 0))
        own = head.own_scores(order)
        self._keep("starts", starts)
        self._keep("columns", head.look_ups[order[starts[:-1]]].t().contiguous().int())
        self._keep("middles", middles)
        self._keep("radii", radii)
        self._keep("most_own", None if own is None else _most(own, group, len(sizes)))

    def _keep(self, name: str, values: torch.Tensor | None) -> None:
        self.register_buffer(name, values, persistent=False)


def _most(values: torch.Tensor, group: torch.Tensor, n_groups: int) -> torch.Tensor:
    """Return (group,) float32, the largest value of each."""
    least = values.new_full((n_groups,), -torch.inf)
    return least.scatter_reduce_(0, group, values, "amax")


def _balls(
    vectors: torch.Tensor, order: torch.Tensor, group: torch.Tensor, n_groups: int
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return middles and radii of groups of vectors, and the mean distance from the middle of all.

    Args:
        vectors: (item, vector) float32.
        order: (row,) int64. Items, group after group.
        group: (row,) int64. Group of each.
        n_groups: Number of groups.
    """
    sizes = torch.bincount(group, minlength=n_groups).unsqueeze(1)
    sums = vectors.new_zeros(n_groups, vectors.shape[1])
    blocks = list(
        zip(torch.split(order, ROWS_AT_A_TIME), torch.split(group, ROWS_AT_A_TIME), strict=True)
    )
    for items, of in blocks:
        sums.index_add_(0, of, vectors[items])
    middles, middle = sums / sizes, sums.sum(0) / len(order)
    distances, total = [], 0.0
    for items, of in blocks:
        distances.append((vectors[items] - middles[of]).norm(dim=1))
        total += float((vectors[items] - middle).norm(dim=1).sum())
    return middles, _most(torch.cat(distances), group, n_groups), total / len(order)
