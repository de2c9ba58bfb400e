"""From code distributions to item likelihoods, through the fixed item-to-code table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from hsrl_pipeline.networks.code_trie import check_codes
from hsrl_pipeline.shapes import PAD_ID


class SemanticItems(nn.Module):
    """Likelihood of items under per-level code distributions (Eq. 14).

    Items that share a semantic ID share its probability evenly: an item has ``pi(z) / |S(z)|``,
    so that a code does not gain from holding many items (protocol, "Semantic IDs").

    Partial sums are kept per distinct prefix, so that scoring the catalogue reads two numbers per
    item instead of one per level.

    Args:
        codes: (item, level) int64 numpy. Semantic IDs, row 0 all -1. An item whose codes are all
            -1 has no semantic ID: it has likelihood 0 and is never recommended.
        vocab_sizes: Number of codes per level.

    Raises:
        ValueError: A code lies outside its level's vocabulary; names item and level.
    """

    codes: torch.Tensor
    has_code: torch.Tensor
    log_shares: torch.Tensor
    item_parent: torch.Tensor

    def __init__(self, codes: np.ndarray, vocab_sizes: tuple[int, ...]) -> None:
        super().__init__()
        live = check_codes(codes, vocab_sizes)
        real = np.where(codes < 0, 0, codes)[PAD_ID + 1 :]
        self.n_items = len(real)
        self.n_levels = len(vocab_sizes)
        _, inverse, counts = np.unique(codes[live], axis=0, return_inverse=True, return_counts=True)
        shares = np.full(len(codes), -np.inf)
        shares[live] = -np.log(counts[inverse.ravel()])
        has_code = torch.from_numpy(shares > -np.inf)
        self.register_buffer("has_code", has_code, persistent=False)
        table = torch.from_numpy(np.where(codes < 0, 0, codes)).long()
        self.register_buffer("codes", table, persistent=False)
        self.register_buffer(
            "log_shares", torch.from_numpy(shares).to(torch.float32), persistent=False
        )
        parent = np.zeros(self.n_items, dtype=np.int64)
        for level in range(1, self.n_levels):
            # a prefix is its parent prefix and one code more
            rows = np.stack([parent, real[:, level - 1]], axis=1)
            prefixes, parent = np.unique(rows, axis=0, return_inverse=True)
            parent = parent.ravel()
            for name, column in (("parent", 0), ("code", 1)):
                self.register_buffer(
                    f"prefix_{name}_{level}",
                    torch.from_numpy(prefixes[:, column].astype(np.int64)),
                    persistent=False,
                )
        self.register_buffer("item_parent", torch.from_numpy(parent), persistent=False)

    def catalogue_log_probs(self, level_log_probs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the log-likelihood of every item.

        Args:
            level_log_probs: Per level (batch, vocab) float32.

        Returns:
            (batch, item) float32. Column 0 (padding) is ``-inf``. The rest sums to at most 1 in
            probability: what is missing lies on codes that no item has.
        """
        batch = level_log_probs[0].shape[0]
        partial = level_log_probs[0].new_zeros(batch, 1)
        for level in range(1, self.n_levels):
            parents = self.get_buffer(f"prefix_parent_{level}")
            codes = self.get_buffer(f"prefix_code_{level}")
            partial = partial[:, parents] + level_log_probs[level - 1][:, codes]
        scores = partial.new_full((batch, self.n_items + 1), -torch.inf)
        last = level_log_probs[-1][:, self.codes[1:, -1]]
        scores[:, 1:] = partial[:, self.item_parent] + last + self.log_shares[1:]
        return scores

    def log_prob(
        self, level_log_probs: Sequence[torch.Tensor], items: torch.Tensor
    ) -> torch.Tensor:
        """Return the log-likelihood of given items.

        Args:
            level_log_probs: Per level (batch, vocab) float32.
            items: (batch, slate) int64. Items in ``[1, n_items]``.

        Returns:
            (batch, slate) float32: the sum over levels (Eq. 22's inner sum) minus ``log |S(z)|``.
        """
        codes = self.codes[items]
        total = self.log_shares[items]
        for level, log_probs in enumerate(level_log_probs):
            total = total + log_probs.gather(1, codes[..., level])
        return total
