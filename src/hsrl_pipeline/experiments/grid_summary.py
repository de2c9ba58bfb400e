"""What a grid has found so far, as a few figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hsrl_pipeline.config.agent import REFERENCE_NAMES
from hsrl_pipeline.experiments.measures import interquartile_mean
from hsrl_pipeline.experiments.store import TrialEntry


def grid_figures(
    entries: Sequence[TrialEntry], results: Mapping[str, Mapping[str, Any]]
) -> dict[str, float]:
    """Return how many trials have a result, and what each policy earns over its seeds.

    Args:
        entries: The trials of a grid on one dataset.
        results: What finished trials keep, by key.

    Returns:
        ``trials``, ``trials_finished`` and ``trials_failed``; as ``iqm.<policy>`` the interquartile
        mean of its Total Reward on the evaluation simulator; as ``reference.<policy>`` the Total
        Reward of policies that do not learn. Where a grid has several parts or regimes, their names
        stand before that of the policy: ``iqm.no_repeats.hsrl``.
    """
    figures = {
        "trials": float(len(entries)),
        "trials_finished": float(sum(entry.key in results for entry in entries)),
        "trials_failed": float(sum(entry.error is not None for entry in entries)),
    }
    parts = {entry.part for entry in entries}
    regimes = {entry.regime for entry in entries}
    scores: dict[str, list[float]] = defaultdict(list)
    for entry in entries:
        if entry.key not in results:
            continue
        place = [entry.part] * (len(parts) > 1) + [entry.regime] * (len(regimes) > 1)
        for row in results[entry.key]["rows"]:
            if row["simulator"] != "eval":
                continue
            if row["policy"] == entry.label:
                scores[".".join(["iqm", *place, entry.label])].append(row["total_reward"])
            elif row["policy"] in REFERENCE_NAMES:
                figures[".".join(["reference", *place, row["policy"]])] = row["total_reward"]
    for name, rewards in scores.items():
        figures[name] = interquartile_mean([np.asarray(rewards, float)])
    return figures
