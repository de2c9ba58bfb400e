"""How much more or less than the average item each item is clicked, where counts are small too."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

PRIOR_EXPOSURES = 20.0
"""Exposures at the average click rate added to each item's own before its rate is taken."""


def click_log_odds(
    clicks: NDArray[np.int64], exposures: NDArray[np.int64]
) -> tuple[float, NDArray[np.float64]]:
    """Return the log-odds of a click overall, and each item's smoothed distance from it.

    Args:
        clicks: (item,) int64. Clicks of each item.
        exposures: (item,) int64. Appearances of each item, at least its clicks.

    Returns:
        The overall log-odds, and (item,) float64 differences; 0 for items without exposures.
    """
    mean = (float(clicks.sum()) + 0.5) / (float(exposures.sum()) + 1.0)
    prior = math.log(mean / (1.0 - mean))
    rate = (clicks + PRIOR_EXPOSURES * mean) / (exposures + PRIOR_EXPOSURES)
    return prior, np.log(rate / (1.0 - rate)) - prior
