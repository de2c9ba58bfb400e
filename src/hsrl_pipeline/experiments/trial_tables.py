"""The finished trials of all experiments as tables, and what the references earn beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from hsrl_pipeline.config.agent import REFERENCE_NAMES
from hsrl_pipeline.experiments.store import Experiment, ExperimentStore, TrialEntry

PART = ["experiment", "size", "part", "behaviour"]
"""What tells the comparisons of one part from another's; the code behaves alike in all of them."""

PLACE = [*PART, "dataset", "regime"]
"""What tells one table of the report from another."""

LEVEL_WEIGHT = "level_weight_"
"""How the columns of training curves begin that hold the weights of the critic's levels."""

MEASURES = ["total_reward", "depth", "clicks_per_slot", "coverage", "repetition_rate"]

TRIAL_COLUMNS = [
    *PLACE,
    "policy",
    "variant",
    "agent",
    "seed",
    *MEASURES,
    "train_total_reward",
    "axes",
    "settings",
    "n_iterations",
    "n_episodes",
    "commit",
    "simulators",
    "seconds",
    "trial",
]

REFERENCE_COLUMNS = [
    *PLACE,
    "policy",
    *MEASURES,
    "train_total_reward",
    "total_reward_ci_low",
    "total_reward_ci_high",
    "simulators",
]


def trial_table(store: ExperimentStore) -> pd.DataFrame:
    """Return one row per finished trial and experiment it belongs to.

    Args:
        store: All experiments.

    Returns:
        ``TRIAL_COLUMNS``. Measures are those on the evaluation simulator; ``axes`` and
        ``settings`` are JSON, ``seconds`` are of processor time.
    """
    rows = []
    for experiment, entry, result in finished_trials(store):
        own = _rows_of(result, entry.label)
        config = result["parameters"]
        rows.append(
            {
                **place_of(experiment, entry),
                "policy": entry.label,
                "variant": entry.variant,
                "agent": entry.agent,
                "seed": entry.seed,
                **_measured(own["eval"]),
                "train_total_reward": own["train"]["total_reward"],
                "axes": json.dumps(entry.axes),
                "settings": json.dumps(result["overrides"]),
                "n_iterations": config["training"]["n_iterations"],
                "n_episodes": config["evaluation"]["n_episodes"],
                "commit": result["commit"],
                "simulators": result["simulators"],
                "seconds": result["seconds"],
                "trial": entry.key,
            }
        )
    table = pd.DataFrame(rows, columns=TRIAL_COLUMNS)
    # a grid that was run once as it is and once with --env may hold the same trial twice
    return table.drop_duplicates([*PLACE, "policy", "seed"], ignore_index=True)


def level_weight_table(store: ExperimentStore) -> pd.DataFrame:
    """Return how the weights of the critic's levels develop, for the agents that learn them.

    Args:
        store: All experiments.

    Returns:
        ``PLACE`` with ``policy``, ``seed``, ``iteration``, ``level`` and ``weight``.
    """
    columns = [*PLACE, "policy", "seed", "iteration", "level", "weight"]
    rows = [
        {
            **place_of(experiment, entry),
            "policy": entry.label,
            "seed": entry.seed,
            "iteration": point["iteration"],
            "level": int(name.removeprefix(LEVEL_WEIGHT)),
            "weight": weight,
        }
        for experiment, entry, result in finished_trials(store)
        for point in result["level_weights"]
        for name, weight in point.items()
        if name != "iteration"
    ]
    table = pd.DataFrame(rows, columns=columns)
    return table.drop_duplicates(columns[:-1], ignore_index=True)


def reference_table(store: ExperimentStore) -> pd.DataFrame:
    """Return what the policies that do not learn earn, once for each table of the report.

    Where trials of one table were judged under several settings, for example other lengths of a
    session, each of them has rows of its own.

    Args:
        store: All experiments.

    Returns:
        ``REFERENCE_COLUMNS``.
    """
    rows = []
    for experiment, entry, result in finished_trials(store):
        for name in REFERENCE_NAMES:
            own = _rows_of(result, name)
            if not own:
                continue  # under a moving catalogue there are other references
            rows.append(
                {
                    **place_of(experiment, entry),
                    "policy": name,
                    **_measured(own["eval"]),
                    "train_total_reward": own["train"]["total_reward"],
                    "total_reward_ci_low": own["eval"]["total_reward_ci_low"],
                    "total_reward_ci_high": own["eval"]["total_reward_ci_high"],
                    "simulators": result["simulators"],
                }
            )
    return pd.DataFrame(rows, columns=REFERENCE_COLUMNS).drop_duplicates(ignore_index=True)


def finished_trials(
    store: ExperimentStore,
) -> Iterator[tuple[Experiment, TrialEntry, Mapping[str, Any]]]:
    """Yield the finished trials of each experiment; all of one experiment behave alike."""
    for experiment in store.experiments():
        for entry in experiment.trials:
            if entry.key and entry.error is None and store.has_result(entry.key):
                yield experiment, entry, store.load_result(entry.key)


def place_of(experiment: Experiment, entry: TrialEntry) -> dict[str, str]:
    """Return the table of the report that a trial stands in: ``PLACE``."""
    return {
        "experiment": experiment.name,
        "size": experiment.size,
        "part": entry.part,
        "behaviour": experiment.behaviour,
        "dataset": entry.dataset,
        "regime": entry.regime,
    }


def _measured(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the measures of a row; NaN where a trial does not measure one."""
    return {name: row.get(name, math.nan) for name in MEASURES}


def _rows_of(result: Mapping[str, Any], policy: str) -> dict[str, Mapping[str, Any]]:
    """Return a policy's rows by simulator."""
    return {row["simulator"]: row for row in result["rows"] if row["policy"] == policy}
