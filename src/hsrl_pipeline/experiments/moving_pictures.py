"""Policies through the changes of a catalogue: what they earn and what they miss, over seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pandas as pd

from hsrl_pipeline.config.catalogue import UPPER_REFERENCE
from hsrl_pipeline.experiments.area_comparisons import t_interval
from hsrl_pipeline.experiments.moving_report import SIMULATORS
from hsrl_pipeline.experiments.moving_results import LAUNCH_ORDER, base_reference, judge_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Dashes = Literal["-", "--", "-.", ":"]

PANEL_WIDTH, LEGEND_WIDTH = 5.0, 2.6
REWARD_HEIGHT, REGRET_HEIGHT = 5.0, 3.4
GREYS: dict[str, tuple[str, Dashes]] = {
    UPPER_REFERENCE: ("0.35", "-."),
    LAUNCH_ORDER: ("0.45", ":"),
}
FAR = 0.5
"""A launch order that lies further from all others than this share of their range is written beside
the panel instead of drawn, for the others would be one line."""


def plot_moving_part(moving: pd.DataFrame) -> Figure:
    """Draw one part of an experiment under a moving catalogue, a column of panels per task.

    Args:
        moving: Rows of one part, as ``moving_table`` returns them.

    Returns:
        Above, Total Reward by the simulator that judges against the change (0 is the launch):
        frozen policies solid, updated ones dashed, after the last update that follows a change.
        Below, regret of the frozen policies. Lines are means over the seeds, bands their 95 % t
        intervals; vertical lines mark the changes.
    """
    from matplotlib.figure import Figure

    tasks = list(moving.groupby(["dataset", "regime"]))
    size = (PANEL_WIDTH * len(tasks) + LEGEND_WIDTH, REWARD_HEIGHT + REGRET_HEIGHT)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(
        2, len(tasks), squeeze=False, height_ratios=(REWARD_HEIGHT, REGRET_HEIGHT)
    )
    colours = _colours(moving)
    for column, ((dataset, regime), rows) in enumerate(tasks):
        judge = judge_of(rows)
        judged = rows[rows["simulator"] == judge]
        above, below = panels[:, column]
        _draw_measure(above, judged, "total_reward", colours, with_updates=True)
        _draw_measure(below, judged, "regret", colours, with_updates=False)
        above.set_title(f"{dataset}, {str(regime).replace('_', ' ')}\n{SIMULATORS[judge]}")
        below.set_xlabel("change of the catalogue (0: launch)")
    panels[0, 0].set_ylabel("Total Reward")
    panels[1, 0].set_ylabel("regret, frozen")
    _draw_legend(figure, colours)
    return figure


def course(rows: pd.DataFrame, measure: str, updated: bool) -> pd.DataFrame:
    """Return the mean of one policy at each change, with its interval over seeds.

    Args:
        rows: Rows of one policy and simulator, as ``moving_table`` returns them.
        measure: Name of a column.
        updated: Whether to follow the policy that is updated after each change (after the last of
            these updates, from the launch on) or the frozen one.

    Returns:
        ``change``, ``mean``, ``ci_low``, ``ci_high``; the interval is NaN with fewer than two
        seeds. Empty where the policy has no such course.
    """
    if updated:
        last = rows.groupby("change")["updates"].transform("max")
        points = rows[rows["updates"].eq(last)]
        if not points["updates"].gt(0).any():
            points = points.iloc[:0]
    else:
        points = rows[rows["updates"] == 0]
    found = [
        (change, own[measure].mean(), *t_interval(own[measure].to_numpy(float)))
        for change, own in points.groupby("change")
    ]
    return pd.DataFrame(found, columns=["change", "mean", "ci_low", "ci_high"])


def _draw_measure(
    panel: Axes,
    rows: pd.DataFrame,
    measure: str,
    colours: dict[str, str],
    with_updates: bool,
) -> None:
    launch_order = rows["policy"].map(base_reference).eq(LAUNCH_ORDER)
    others, aside = rows[~launch_order], rows[launch_order]
    if _far(others[measure], aside[measure]):
        _write_range(panel, aside, measure)
    else:
        others = rows
    for policy, own in others.groupby("policy", sort=False):
        reference = base_reference(str(policy))
        if reference:
            colour, dashes = GREYS[reference]
            line = course(own, measure, updated=False)
            panel.plot(line["change"], line["mean"], color=colour, linestyle=dashes, zorder=3)
            continue
        colour = colours[str(policy)]
        if "@" not in str(policy):
            _draw_course(panel, course(own, measure, updated=False), colour, "-")
        if with_updates:
            _draw_course(panel, course(own, measure, updated=True), colour, "--")
    last = int(rows["change"].max())
    for change in range(1, last + 1):
        panel.axvline(change, color="0.7", linewidth=1.0, zorder=0)
    panel.set_xticks(range(last + 1))
    panel.grid(axis="y", alpha=0.3)


def _draw_course(panel: Axes, line: pd.DataFrame, colour: str, dashes: Dashes) -> None:
    if line.empty:
        return
    frozen = dashes == "-"
    filled = colour if frozen else "white"
    panel.plot(
        line["change"], line["mean"], color=colour, linestyle=dashes, marker="o", ms=5, mfc=filled
    )
    band = (line["ci_low"], line["ci_high"])
    alpha = 0.14 if frozen else 0.06
    panel.fill_between(line["change"], *band, color=colour, alpha=alpha, linewidth=0)


def _far(values: pd.Series[float], other: pd.Series[float]) -> bool:
    if values.empty or other.empty:
        return False
    gap = max(values.min() - other.max(), other.min() - values.max())
    return bool(gap > FAR * (values.max() - values.min()))


def _write_range(panel: Axes, rows: pd.DataFrame, measure: str) -> None:
    low, high = rows[measure].min(), rows[measure].max()
    where = "below" if measure == "total_reward" else "above"
    panel.annotate(
        f"{LAUNCH_ORDER} lies {where}: {low:.2f} to {high:.2f}",
        (0.02, 0.03 if where == "below" else 0.97),
        xycoords="axes fraction",
        va="bottom" if where == "below" else "top",
        fontsize="small",
        color="0.35",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )


def _colours(moving: pd.DataFrame) -> dict[str, str]:
    """Return the colour of each policy that learns, the same in all panels."""
    learned = [name for name in dict.fromkeys(moving["policy"]) if not base_reference(name)]
    return {name: f"C{number % 10}" for number, name in enumerate(learned)}


def _draw_legend(figure: Figure, colours: dict[str, str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, label=name) for name, colour in colours.items()]
    handles += [
        Line2D([], [], color=colour, linestyle=dashes, label=name)
        for name, (colour, dashes) in GREYS.items()
    ]
    handles += [
        Line2D([], [], color="black", linestyle="-", marker="o", ms=5, label="frozen"),
        Line2D(
            [], [], color="black", linestyle="--", marker="o", ms=5, mfc="white", label="updated"
        ),
    ]
    figure.legend(handles=handles, loc="outside right upper", fontsize="small", handlelength=3.5)
