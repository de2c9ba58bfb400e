"""What look-up scores need of the codes of items: cells of tables, and priors under each code."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hsrl_pipeline.semantic_ids.item_shares import share_out


def centred_priors(
    priors: NDArray[np.float32], codes: NDArray[np.int64], live: NDArray[np.int64]
) -> torch.Tensor:
    """Return (item,) float32, priors less the log of their mean odds under each code."""
    _, code, sizes = np.unique(codes[live], axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(code.ravel(), kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    log_shares = share_out(priors, live[order], len(codes), starts)
    centred = np.zeros(len(codes), np.float32)
    centred[live[order]] = log_shares + np.log(sizes).repeat(sizes)
    return torch.from_numpy(centred)


def look_up_cells(codes: NDArray[np.int64], vocab_sizes: tuple[int, ...]) -> torch.Tensor:
    """Return (item, level) int64, the cells of the tables that make an item's score."""
    first_size, n_further = vocab_sizes[0], sum(vocab_sizes[1:])
    cells = np.empty_like(codes)
    cells[:, 0] = 1 + codes[:, 0]
    offset = 1 + first_size
    for level, size in enumerate(vocab_sizes[1:], start=1):
        cells[:, level] = offset + codes[:, 0] * n_further + codes[:, level]
        offset += size
    cells[(codes < 0).any(axis=1)] = 0
    return torch.from_numpy(cells)
