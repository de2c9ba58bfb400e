"""Trials of a grid out of MLflow, as the tables that reports and plots are made from."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from hsrl_pipeline.config.agent import REFERENCE_NAMES
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.experiments.trial_tables import MEASURES, PLACE, REFERENCE_COLUMNS
from hsrl_pipeline.tracking.frames import runs_frame
from hsrl_pipeline.tracking.store import shown_uri

NUMBERS = [*MEASURES, "train_total_reward"]


def trials_frame(
    project: Path, experiment: str, *, size: str | None = None, dataset: str | None = None
) -> pd.DataFrame:
    """Return the finished trials of a grid, each once.

    Where the code's behaviour has changed between trials, those of the newest behaviour are
    returned: others can't be compared with them.

    Args:
        project: The project's root.
        experiment: Name of the grid.
        size: Only trials of this size; by default that of the newest trial.
        dataset: Only trials on this data.

    Returns:
        One row per trial in the order of its start, with the columns that ``score_table`` reads
        (``experiment``, ``size``, ``part``, ``behaviour``, ``dataset``, ``regime``, ``policy``,
        ``variant``, ``agent``, ``seed``, the measures and ``axes``) and those of ``runs_frame``.

    Raises:
        UserError: The grid has no finished trial, or the store does not answer.
    """
    runs = runs_frame(project, experiment=experiment, dataset=dataset)
    wanted = runs["status"].eq("FINISHED")
    wanted &= runs["tags.trial"].notna() if "tags.trial" in runs else False
    if size is not None:
        wanted &= runs["tags.size"].eq(size)
    runs = runs[wanted]
    if runs.empty:
        asked = f" of size '{size}'" if size else ""
        raise UserError(
            f"no trial of experiment '{experiment}'{asked} has finished",
            where=shown_uri(project),
            remedy=f"Run `kedro experiment {experiment}`, which says what went wrong.",
        )
    newest = runs.iloc[0]
    same = runs["tags.behaviour"].eq(newest["tags.behaviour"])
    same &= runs["tags.size"].eq(newest["tags.size"])
    runs = runs[same].drop_duplicates("tags.trial")[::-1].reset_index(drop=True)
    return pd.DataFrame(
        {
            "experiment": experiment,
            **{name: runs[f"tags.{name}"] for name in PLACE if name != "experiment"},
            "policy": runs["tags.label"],
            "variant": runs["tags.variant"],
            "agent": runs["tags.agent"],
            "seed": runs["tags.seed"].astype("int64"),
            **{name: _figures(runs, name) for name in NUMBERS},
            "axes": runs["tags.axes"],
        }
    ).join(runs)


def references_frame(trials: pd.DataFrame) -> pd.DataFrame:
    """Return what the policies that do not learn earn beside trials.

    Args:
        trials: As ``trials_frame`` returns them.

    Returns:
        ``REFERENCE_COLUMNS`` once for each policy and place; of the measures only ``total_reward``
        is there, because runs keep no other figure of a reference.
    """
    places = trials.drop_duplicates(PLACE)
    rows = [
        places[PLACE].assign(
            policy=name, total_reward=_figures(places, f"reference_{name}_total_reward")
        )
        for name in REFERENCE_NAMES
    ]
    found = pd.concat(rows).dropna(subset=["total_reward"])
    table = found.reset_index(drop=True).reindex(columns=REFERENCE_COLUMNS)
    return table.astype(dict.fromkeys([*NUMBERS, *_ENDS], "float64"))


_ENDS = ("total_reward_ci_low", "total_reward_ci_high")


def _figures(runs: pd.DataFrame, name: str) -> pd.Series[float]:
    """Return a figure of each run; not defined where no run has it."""
    if f"metrics.{name}" in runs:
        return runs[f"metrics.{name}"]
    return pd.Series(float("nan"), index=runs.index)
