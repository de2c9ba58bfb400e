"""From semantic IDs back to items; business priors choose among several (paper, App. E)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.prefix_trie import PrefixTrie
from hsrl_pipeline.shapes import PAD_ID, check_shape


@dataclass(frozen=True)
class SidDecoder:
    """Deterministic lookup from codes to items.

    Attributes:
        trie: Prefix trie of the codebook.
        priors: (item,) float32. Larger is preferred among the items of one code; row 0 unused.
        frequency_cap: Largest number of times an item may have been shown; None for no cap.
    """

    trie: PrefixTrie
    priors: torch.Tensor
    frequency_cap: int | None = None

    @classmethod
    def from_codebook(
        cls,
        codebook: Codebook,
        priors: NDArray[np.float32],
        *,
        frequency_cap: int | None = None,
        device: torch.device | str = "cpu",
    ) -> SidDecoder:
        """Return the decoder of a codebook.

        Args:
            codebook: Semantic IDs.
            priors: (item,) float32. One score per row of ``codebook.codes``.
            frequency_cap: Showings allowed per item, at least 1; None for no cap.
            device: Where the tensors live.
        """
        check_shape("priors", priors, len(codebook.codes))
        return cls(
            trie=PrefixTrie.from_codes(codebook.codes, codebook.vocab_sizes, device=device),
            priors=torch.from_numpy(np.ascontiguousarray(priors, dtype=np.float32)).to(device),
            frequency_cap=frequency_cap,
        )

    def ranked_items(self, codes: torch.Tensor, shown: torch.Tensor | None = None) -> torch.Tensor:
        """Return all items under each code that may be shown, best prior first.

        Args:
            codes: (..., level) int64.
            shown: (..., shown) int64. Items already shown in the session, PAD_ID in empty slots,
                one row per code; needed for a frequency cap.

        Returns:
            (..., group) int64. PAD_ID fills up; equal priors are in the order of the index.
        """
        found = self.trie.items_of(self.trie.nodes_of(codes))
        score = self.priors[found].masked_fill(found == PAD_ID, -torch.inf)
        if self.frequency_cap is not None and shown is not None:
            times = (found.unsqueeze(-1) == shown.unsqueeze(-2)).sum(dim=-1)
            score = score.masked_fill(times >= self.frequency_cap, -torch.inf)
        best, order = score.sort(dim=-1, descending=True, stable=True)
        return found.gather(-1, order).masked_fill(best == -torch.inf, PAD_ID)

    def decode(self, codes: torch.Tensor, shown: torch.Tensor | None = None) -> torch.Tensor:
        """Return the preferred item of each code.

        Args:
            codes: (..., level) int64.
            shown: (..., shown) int64. Items already shown, one row per code.

        Returns:
            (...,) int64. PAD_ID where no item has the code or all are capped.
        """
        return self.ranked_items(codes, shown)[..., 0]

    def fill_slates(
        self, codes: torch.Tensor, slate_size: int, shown: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return slates that include all items of each code as long as there is room.

        Args:
            codes: (batch, candidate, level) int64. Codes in the order of preference, distinct in
                a row.
            slate_size: Items per slate (K).
            shown: (batch, shown) int64. Items already shown in the session.

        Returns:
            (batch, slate) int64. Distinct items; PAD_ID where the candidates do not suffice.
        """
        check_shape("codes", codes, None, None, self.trie.n_levels)
        if shown is not None:
            shown = shown.unsqueeze(1).expand(-1, codes.shape[1], -1)
        candidates = self.ranked_items(codes, shown).flatten(start_dim=1)
        empty = (candidates == PAD_ID).to(torch.int8)
        order = empty.argsort(dim=-1, stable=True)
        filled = candidates.gather(-1, order)
        missing = slate_size - filled.shape[1]
        if missing > 0:
            filled = torch.nn.functional.pad(filled, (0, missing), value=PAD_ID)
        return filled[:, :slate_size]
