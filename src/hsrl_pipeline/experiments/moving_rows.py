"""What a trial under a moving catalogue found, in the form of other trials' rows."""

from __future__ import annotations

from typing import Any

import pandas as pd

AVERAGED = ("total_reward", "total_reward_ci_low", "total_reward_ci_high", "regret")


def rows_of_moving(summary: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one row per policy and simulator: means over the changes, without updates after them.

    With the same schedule and sessions, a difference in these means is that of the areas under
    regret, divided by the number of changes and with the other sign.

    Args:
        summary: The columns of ``moving_summary.csv``.

    Returns:
        ``policy``, ``seed``, ``simulator``, ``regime``, ``total_reward`` with the mean ends of its
        intervals, ``regret``, and ``released_item_slots`` in all rows together.
    """
    frozen = summary[(summary["change"] > 0) & (summary["updates"] == 0)]
    keys = ["policy", "seed", "simulator", "regime"]
    means = frozen.groupby(keys)[list(AVERAGED)].mean()
    released = summary.groupby(keys)["released_item_slots"].sum()
    return means.join(released).reset_index().to_dict("records")  # type: ignore[return-value]
