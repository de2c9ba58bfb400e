"""How the items of one code share its probability, given their priors (paper, App. E)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.shapes import check_shape


def share_out(
    priors: NDArray[np.float32] | None,
    items: NDArray[np.int64],
    n_rows: int,
    starts: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the log-softmax of the priors over the items of each code.

    Args:
        priors: (item,) float32. One per row of the codes, finite; None for equal ones.
        items: (live,) int64. Items in the order of their codes.
        n_rows: Rows of the table of codes, padding included.
        starts: (code,) int64. Where the items of each code start in ``items``; ascending from 0.

    Returns:
        (live,) float64. Exactly 0 for an item alone under its code.

    Raises:
        ValueError: There is not one finite prior per row; names the item.
    """
    sizes = np.diff(np.append(starts, len(items)))
    if priors is None:
        return (0.0 - np.log(sizes)).repeat(sizes)
    check_shape("priors", priors, n_rows)
    wrong = np.flatnonzero(~np.isfinite(priors))
    if len(wrong):
        raise ValueError(f"item {wrong[0]} has prior {priors[wrong[0]]}, expected a number")
    scores = priors[items].astype(np.float64)
    shifted = scores - np.maximum.reduceat(scores, starts).repeat(sizes)
    total = np.add.reduceat(np.exp(shifted), starts)
    log_shares: NDArray[np.float64] = shifted - np.log(total).repeat(sizes)
    return log_shares
