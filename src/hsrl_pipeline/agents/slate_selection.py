"""From item scores to slates: the best items, or a sample without replacement and its likelihood.

One place serves acting, learning and the references, so that a slate is always ranked, sampled
and scored by the same rules.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from hsrl_pipeline.agents.slate_draws import draw_without_replacement
from hsrl_pipeline.losses.slate_and_rest import SlateAndRest, split_slate
from hsrl_pipeline.networks.top_places import top_places
from hsrl_pipeline.shapes import PAD_ID, check_shape

LEAST_SCORE = -1e9
"""Score that stands for an item that may not be shown where a number must be finite."""


class SlateSelector:
    """Turns one score per item into ordered slates of distinct items.

    Where the data set has shelves, a slate takes equally many items from each shelf, shelf by
    shelf, as RL4RS asks for (docs/protocol.md#rl4rs); elsewhere all items form one shelf.

    Args:
        n_items: Number of real items.
        slate_size: Items per slate.
        shelves: (item,) int64. Shelf of each item from 1, row 0 is 0; None when all items
            compete for every position.
        device: Device of the scores that will be given.

    Raises:
        ValueError: The slate does not divide among the shelves, or a shelf is too small.
    """

    def __init__(
        self,
        n_items: int,
        slate_size: int,
        shelves: np.ndarray | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self._n_items = n_items
        self._slate_size = slate_size
        self._groups: list[torch.Tensor | None] = [None]
        sizes = [n_items]
        if shelves is not None:
            check_shape("shelves", shelves, n_items + 1)
            names = np.unique(shelves[1:])
            members = [np.flatnonzero(shelves == name) for name in names if name > 0]
            sizes = [len(group) for group in members]
            self._groups = [torch.as_tensor(group, device=device) for group in members]
        if slate_size % len(sizes):
            raise ValueError(f"slate_size {slate_size} does not divide among {len(sizes)} shelves")
        self._share = slate_size // len(sizes)
        if min(sizes) < self._share:
            raise ValueError(f"a shelf holds {min(sizes)} items, a slate needs {self._share} of it")
        self._device = device
        self._absent: torch.Tensor | None = None

    @property
    def n_shelves(self) -> int:
        """Number of shelves; 1 when all items compete for every position."""
        return len(self._groups)

    def set_live(self, live: np.ndarray) -> None:
        """Choose among live items alone from now on.

        Args:
            live: (item,) bool. Row 0 is False.

        Raises:
            ValueError: There is another number of items, or too few live ones on a shelf; nothing
                changes.
        """
        check_shape("live", live, self._n_items + 1)
        present = torch.as_tensor(live, device=self._device)
        fewest = min(
            int((present if group is None else present[group]).sum()) for group in self._groups
        )
        if fewest < self._share:
            raise ValueError(
                f"a shelf holds {fewest} live items, a slate needs {self._share} of it"
            )
        self._absent = None if bool(present[1:].all()) else ~present

    def without_absent(self, slates: torch.Tensor) -> torch.Tensor:
        """Return slates with PAD_ID where the item is not live now, (batch, slate) int64."""
        if self._absent is None:
            return slates
        return slates.masked_fill(self._absent[slates], PAD_ID)

    def _of_live(self, scores: torch.Tensor) -> torch.Tensor:
        """Return (batch, item) scores, ``-inf`` for what is not live."""
        return scores if self._absent is None else scores.masked_fill(self._absent, -torch.inf)

    def greedy(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the items of highest score.

        Args:
            scores: (batch, item) float32. Column 0 belongs to padding and is never chosen.

        Returns:
            (batch, slate) int64. Distinct items in ``[1, n_items]``, best first on each shelf.
        """
        check_shape("scores", scores, None, self._n_items + 1)
        return self._top(self._of_live(scores), self._share)

    def best(self, scores: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the live items of highest score, as many as are asked for.

        Args:
            scores: (batch, item) float32. Column 0 belongs to padding; ``-inf`` for what may not
                be shown.
            n: Number of items, divisible by the number of shelves.

        Returns:
            items: (batch, n) int64. Best first on each shelf; PAD_ID where no more may be shown.
            scores: (batch, n) float32. Their scores; ``-inf`` where no more may be shown.

        Raises:
            ValueError: The items do not divide among the shelves.
        """
        check_shape("scores", scores, None, self._n_items + 1)
        if n % self.n_shelves:
            raise ValueError(f"{n} items do not divide among {self.n_shelves} shelves")
        live = self._of_live(scores)
        items = self._top(live, n // self.n_shelves)
        best = live.gather(1, items)
        return items.masked_fill(best == -torch.inf, PAD_ID), best

    def sample(
        self, logits: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw slates without replacement, position by position, from the softmax of the logits.

        On a CPU, items are drawn with replacement and repeated ones are passed over, which is the
        same and needs a few random numbers in place of one per item. Where that does not end soon,
        and on CUDA, the K largest Gumbel-perturbed logits, in order, are exactly such a draw (Kool,
        van Hoof and Welling 2019, "Stochastic Beams and Where to Find Them", section 2.3).

        Args:
            logits: (batch, item) float32. Column 0 belongs to padding and is never chosen.
            generator: Random stream on the device of the logits.

        Returns:
            slates: (batch, slate) int64. Distinct items in ``[1, n_items]``.
            log_prob: (batch,) float32. Log-probability of the ordered slate.
        """
        check_shape("logits", logits, None, self._n_items + 1)
        draw = partial(draw_without_replacement, n=self._share, generator=generator)
        slates = self._by_shelf(self._of_live(logits), draw)
        return slates, self.log_prob(logits, slates).sum(-1)

    def log_prob(self, logits: torch.Tensor, slates: torch.Tensor) -> torch.Tensor:
        """Return the log-probability of each position given the ones before it.

        Plackett-Luce: the item at a position is drawn from the softmax over the items that are
        still left. The normalisers are accumulated from the last position backwards, which stays
        exact when almost all probability lies on the chosen items.

        Args:
            logits: (batch, item) float32. Column 0 belongs to padding and carries no probability.
            slates: (batch, slate) int64. Distinct items in ``[1, n_items]``, in slate order.

        Returns:
            (batch, slate) float32. Its row sums are log-probabilities of ordered slates. 0 for an
            item that is not live any more, which then teaches nothing.
        """
        check_shape("logits", logits, None, self._n_items + 1)
        check_shape("slates", slates, logits.shape[0], self._slate_size)
        logits = self._of_live(logits)
        chosen = logits.gather(1, slates)
        gone = None if self._absent is None else self._absent[slates]
        if gone is not None:
            # finite, so that the gradients of the other positions stay defined
            chosen = chosen.masked_fill(gone, LEAST_SCORE)
        # the smallest number, not minus infinity: with nothing else left the gradient stays defined
        others = logits.scatter(1, slates, torch.finfo(logits.dtype).min)
        log_masses = [
            (others[:, PAD_ID + 1 :] if group is None else others[:, group]).logsumexp(-1)
            for group in self._groups
        ]
        own = chosen.view(len(chosen), self.n_shelves, self._share)
        positions = (own - _log_masses_left(own, torch.stack(log_masses, dim=1))).flatten(1)
        return positions if gone is None else positions.masked_fill(gone, 0.0)

    def split(
        self, scores: torch.Tensor, slates: torch.Tensor, shown: torch.Tensor
    ) -> SlateAndRest:
        """Return the scores of slates' items and a summary of the others; see ``split_slate``.

        Args:
            scores: (batch, item) float32. ``-inf`` for items that can't be recommended.
            slates: (batch, slate) int64. Distinct items in ``[1, n_items]``, in slate order.
            shown: (batch, shown) int64. Items that may not be shown again, PAD_ID elsewhere.
        """
        check_shape("scores", scores, None, self._n_items + 1)
        check_shape("slates", slates, scores.shape[0], self._slate_size)
        shelves = [group for group in self._groups if group is not None]
        return split_slate(scores, slates, shown, absent=self._absent, shelves=shelves or None)

    def likelihood(self, split: SlateAndRest) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the likelihood of slates and the entropy of what they were drawn from.

        Args:
            split: The slates' items and the others.

        Returns:
            items: (batch, slate) float32. Log-probability of each item by itself.
            positions: (batch, slate) float32. Log-probability of each position given the ones
                before it, as ``log_prob`` returns it.
            entropy: (batch,) float32. That of one item, in nats, averaged over shelves.
        """
        shape = len(split.chosen), self.n_shelves, self._share
        # finite, so that the gradients of the other positions stay defined
        own = split.chosen.masked_fill(split.hidden, LEAST_SCORE).view(shape)
        left = _log_masses_left(own, split.log_mass)
        whole = left[..., :1]
        items = own - whole
        probs = items.exp()
        of_slate = (probs * items.masked_fill(split.hidden.view(shape), 0.0)).sum(-1)
        others = (split.log_mass - whole.squeeze(-1)).exp()
        entropy = others * (whole.squeeze(-1) - split.mean_score) - of_slate
        return items.flatten(1), (own - left).flatten(1), entropy.mean(-1)

    def distribution(self, logits: torch.Tensor) -> torch.Tensor:
        """Return log-probabilities of the first position of each shelf.

        Args:
            logits: (batch, item) float32.

        Returns:
            (batch, item) float32. Sums to one over the live items of each shelf; all others have
            ``-inf``.
        """
        check_shape("logits", logits, None, self._n_items + 1)
        logits = self._of_live(logits)
        result = torch.full_like(logits, -torch.inf)
        for group in self._groups:
            columns = slice(PAD_ID + 1, None) if group is None else group
            result[:, columns] = logits[:, columns].log_softmax(-1)
        return result

    def _top(self, scores: torch.Tensor, share: int) -> torch.Tensor:
        """Return (batch, share of all shelves) int64, the best items of each shelf."""
        return self._by_shelf(scores, partial(top_places, n=share))

    def _by_shelf(
        self, scores: torch.Tensor, choose: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Return (batch, any) int64, the items that are chosen on each shelf by their scores."""
        parts = [
            choose(scores[:, PAD_ID + 1 :]) + 1
            if group is None
            else group[choose(scores[:, group])]
            for group in self._groups
        ]
        return torch.cat(parts, dim=-1)


def _log_masses_left(own: torch.Tensor, log_mass: torch.Tensor) -> torch.Tensor:
    """Return what there is to draw from at each position, accumulated from the last one backwards.

    Args:
        own: (batch, shelf, position) float32. Scores of a slate's items.
        log_mass: (batch, shelf) float32. Log of the sum of all others' exponentiated scores.

    Returns:
        (batch, shelf, position) float32. Log of the sum over the others, the item at the position
        and those after it.
    """
    tail = torch.cat([log_mass.unsqueeze(-1), own.flip(-1)], dim=-1)
    return tail.logcumsumexp(-1)[..., 1:].flip(-1)
