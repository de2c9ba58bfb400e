"""Pictures of an experiment: policies side by side, curves along a parameter, level weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hsrl_pipeline.experiments.comparison_tables import OVERALL, REFERENCE
from hsrl_pipeline.experiments.findings import SIGNIFICANT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES_PER_ROW = 0.3
PANEL_WIDTH = 5.0
LINE_PANEL_HEIGHT = 3.2


def plot_part(scores: pd.DataFrame) -> Figure:
    """Draw one part of an experiment on the evaluation simulator, one panel per task.

    Args:
        scores: Rows of one part, as ``score_table`` returns them.

    Returns:
        Curves along the crossed parameter where there is exactly one with numbers, else one row
        per policy; 95 % intervals either way.
    """
    from matplotlib.figure import Figure

    tasks = [
        (f"{dataset}, {str(regime).replace('_', ' ')}", rows)
        for (dataset, regime), rows in scores.groupby(["dataset", "regime"], sort=False)
        if dataset != OVERALL
    ]
    along = crossed_parameter(scores)
    tallest = max(len(rows) for _, rows in tasks)
    height = LINE_PANEL_HEIGHT if along else 0.8 + INCHES_PER_ROW * tallest
    figure = Figure(figsize=(PANEL_WIDTH * len(tasks), height), layout="constrained")
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    for panel, (title, rows) in zip(panels, tasks, strict=True):
        if along:
            _draw_curves(panel, rows, along)
        else:
            _draw_rows(panel, rows)
        panel.set_title(title)
    return figure


def plot_level_weights(weights: pd.DataFrame) -> Figure:
    """Draw the mean weight of each level of the critic during training, a panel per policy.

    Args:
        weights: Rows of one part, as ``level_weight_table`` returns them.
    """
    from matplotlib.figure import Figure

    groups = list(weights.groupby(["dataset", "regime", "policy"], sort=False))
    figure = Figure(figsize=(PANEL_WIDTH * len(groups), LINE_PANEL_HEIGHT), layout="constrained")
    panels = figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]
    for panel, ((dataset, regime, policy), rows) in zip(panels, groups, strict=True):
        for level, own in rows.groupby("level"):
            by_iteration = own.groupby("iteration")["weight"]
            mean, spread = by_iteration.mean(), by_iteration.agg(["min", "max"])
            panel.plot(mean.index, mean, label=f"level {level}")
            panel.fill_between(mean.index, spread["min"], spread["max"], alpha=0.2)
        panel.set_title(f"{policy}: {dataset}, {str(regime).replace('_', ' ')}")
        panel.set_xlabel("iteration")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("weight of the level, mean and range of seeds")
    panels[-1].legend(fontsize="small")
    return figure


def plot_learning_curves(curves: pd.DataFrame, what: str) -> Figure:
    """Draw how a figure develops in training: mean and range of the seeds, a panel per task.

    Args:
        curves: ``dataset``, ``regime``, ``policy``, ``iteration`` and ``value``, a row per point
            and seed.
        what: What ``value`` is, for the axis.
    """
    from matplotlib.figure import Figure

    tasks = list(curves.groupby(["dataset", "regime"], sort=False))
    size = (PANEL_WIDTH * max(1, len(tasks)), LINE_PANEL_HEIGHT)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, max(1, len(tasks)), squeeze=False)[0]
    for panel, ((dataset, regime), rows) in zip(panels, tasks, strict=False):
        for policy, own in rows.groupby("policy", sort=False):
            by_iteration = own.groupby("iteration")["value"].agg(["mean", "min", "max"])
            panel.plot(by_iteration.index, by_iteration["mean"], label=policy)
            panel.fill_between(
                by_iteration.index, by_iteration["min"], by_iteration["max"], alpha=0.2
            )
        panel.set_title(f"{dataset}, {str(regime).replace('_', ' ')}")
        panel.set_xlabel("iteration")
        panel.set_ylabel(what)
        panel.grid(alpha=0.3)
        panel.legend(fontsize="small")
    return figure


def plot_differences(comparisons: pd.DataFrame, baseline: str) -> Figure:
    """Draw by how much each policy earns more or less than one of them, a panel per task.

    Args:
        comparisons: Rows of one part, as ``comparison_table`` returns them.
        baseline: The policy that the others are compared with.

    Returns:
        One bar per policy, pale where the difference is not decided (p of 0.05 or more after
        Holm's correction, or no p).
    """
    from matplotlib.figure import Figure

    own = comparisons[
        comparisons["compared_with"].eq(baseline) & comparisons["dataset"].ne(OVERALL)
    ]
    tasks = list(own.groupby(["dataset", "regime"], sort=False))
    tallest = max((len(rows) for _, rows in tasks), default=1)
    size = (PANEL_WIDTH * max(1, len(tasks)), 0.8 + INCHES_PER_ROW * tallest)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, max(1, len(tasks)), squeeze=False)[0]
    for panel, ((dataset, regime), found) in zip(panels, tasks, strict=False):
        rows = found.sort_values("difference", kind="stable")
        decided = (rows["p_holm"] < SIGNIFICANT).to_numpy()
        bars = panel.barh(np.arange(len(rows)), rows["difference"], color="tab:blue")
        for bar, sure in zip(bars, decided, strict=True):
            bar.set_alpha(1.0 if sure else 0.35)
        panel.axvline(0.0, color="0.4", linewidth=0.8)
        panel.set_yticks(np.arange(len(rows)), rows["policy"])
        panel.set_title(f"{dataset}, {str(regime).replace('_', ' ')}")
        panel.set_xlabel(f"Total Reward more than {baseline} (pale: not decided)")
        panel.grid(axis="x", alpha=0.3)
    return figure


def plot_experiments(scores: pd.DataFrame) -> Figure:
    """Draw all parts of all experiments below each other, for Kedro-Viz.

    Args:
        scores: As ``score_table`` returns them.
    """
    from matplotlib.figure import Figure

    tasks = scores[scores["dataset"] != OVERALL]
    groups = list(
        tasks.groupby(["experiment", "size", "part", "behaviour", "dataset", "regime"], sort=False)
    )
    heights = [0.8 + INCHES_PER_ROW * len(rows) for _, rows in groups]
    figure = Figure(figsize=(PANEL_WIDTH * 1.6, sum(heights)), layout="constrained")
    panels = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, ((name, size, part, _, dataset, regime), rows) in zip(panels, groups, strict=True):
        _draw_rows(panel, rows)
        panel.set_title(f"{name} ({size}), {part}: {dataset}, {str(regime).replace('_', ' ')}")
    return figure


def crossed_parameter(scores: pd.DataFrame) -> str | None:
    """Return the parameter that all agents of a part are crossed with, if it is one of numbers.

    Args:
        scores: Rows of one part, as ``score_table`` returns them.
    """
    axes = [json.loads(text) for text in scores.loc[scores["kind"] == "agent", "axes"]]
    names = {tuple(sorted(values)) for values in axes if values}
    if len(names) != 1 or len(only := next(iter(names))) != 1:
        return None
    values = [value for own in axes for value in own.values()]
    return only[0] if all(isinstance(value, int | float) for value in values) else None


def _draw_rows(panel: Axes, rows: pd.DataFrame) -> None:
    rows = rows.sort_values("iqm", kind="stable")
    places = np.arange(len(rows))
    reference = (rows["kind"] == "reference").to_numpy()
    for own, colour, label in (
        (~reference, "tab:blue", "agents"),
        (reference, "0.55", "references"),
    ):
        _draw_points(panel, rows[own], places[own], colour, label)
    static = rows.loc[rows["policy"] == REFERENCE, "iqm"]
    if len(static):
        panel.axvline(float(static.iloc[0]), color="0.55", linestyle=":")
    panel.set_yticks(places, rows["policy"])
    panel.set_xlabel("Total Reward, evaluation simulator")
    panel.grid(axis="x", alpha=0.3)


def _draw_points(panel: Axes, rows: pd.DataFrame, places: Any, colour: str, label: str) -> None:
    if rows.empty:
        return
    panel.errorbar(
        rows["iqm"], places, xerr=_reach(rows), fmt="o", color=colour, capsize=3, label=label
    )


def _draw_curves(panel: Axes, rows: pd.DataFrame, along: str) -> None:
    agents = rows[rows["kind"] == "agent"].copy()
    agents["value"] = [json.loads(text).get(along, np.nan) for text in agents["axes"]]
    for variant, own in agents.groupby("variant", sort=False):
        line = own.sort_values("value")
        panel.errorbar(
            line["value"], line["iqm"], yerr=_reach(line), marker="o", capsize=3, label=variant
        )
    for name, own in rows[rows["policy"].isin([REFERENCE, "popular"])].groupby("policy"):
        panel.axhline(float(own["iqm"].iloc[0]), color="0.55", linestyle=":")
        panel.annotate(
            str(name),
            (1.0, float(own["iqm"].iloc[0])),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize="small",
            color="0.35",
        )
    panel.set_xlabel(along)
    panel.set_ylabel("Total Reward, evaluation simulator")
    panel.grid(alpha=0.3)
    panel.legend(fontsize="small")


def _reach(rows: pd.DataFrame) -> Any:
    """Return how far intervals reach below and above; nothing where there are none."""
    below = (rows["iqm"] - rows["iqm_ci_low"]).fillna(0.0)
    above = (rows["iqm_ci_high"] - rows["iqm"]).fillna(0.0)
    return np.maximum(np.vstack([below, above]), 0.0)
