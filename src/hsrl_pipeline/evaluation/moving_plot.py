"""A picture of policies through the changes of a catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REFERENCES = (
    "greedy_full_knowledge",
    "greedy_same_knowledge",
    "static_slate_full_knowledge",
    "static_slate",
    "popular",
    "random",
)
"""From the upper reference to the floor; drawn grey, everything else in colour."""

DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))

TITLES = {
    "train": "judged by the training simulator",
    "eval": "judged by the evaluation simulator",
    "truth": "judged by the true users",
}

MEASURES = {"total_reward": "Total Reward", "new_item_share": "share of slots on new items"}


def plot_moving(summary: pd.DataFrame, regime: str, arm: str) -> Figure:
    """Draw what policies earn and how often they show new items, from launch to the last change.

    Args:
        summary: Rows of ``moving_summary.csv``; seeds are averaged.
        regime: Which of them to draw.
        arm: Which of them to draw.

    Returns:
        One column of panels per simulator that judges. Solid lines are policies without an update
        since the launch, dotted ones with markers have updates after each change; vertical lines
        mark the changes. Bands, of the upper reference and of policies that learn, are the 95 %
        intervals over sessions, averaged over seeds.
    """
    from matplotlib.figure import Figure

    rows = summary[(summary["regime"] == regime) & (summary["arm"] == arm)]
    judges = [name for name in ("eval", "truth") if (rows["simulator"] == name).any()]
    figure = Figure(figsize=(7.5 * len(judges) + 2.5, 8.5), layout="constrained")
    panels = figure.subplots(
        len(MEASURES),
        len(judges),
        sharex=True,
        sharey="row",
        squeeze=False,
        height_ratios=(2.2, 1),
    )
    colours = _colours(rows)
    for column, judge in enumerate(judges):
        judged = rows[rows["simulator"] == judge]
        for row, (measure, title) in enumerate(MEASURES.items()):
            axes = panels[row, column]
            for policy, own in judged.groupby("policy", sort=False):
                if measure == "new_item_share" and policy in REFERENCES[1:]:
                    continue
                _draw(axes, str(policy), own, measure, colours[str(policy)])
            for change in range(1, int(rows["change"].max()) + 1):
                axes.axvline(change, color="0.6", linewidth=1.2, zorder=0)
            axes.grid(axis="y", alpha=0.3)
            if column == 0:
                axes.set_ylabel(title)
        panels[0, column].set_title(TITLES[judge])
        panels[-1, column].set_xlabel(
            "changes of the catalogue; between them, updates since the last"
        )
    panels[0, 0].set_xticks(range(int(rows["change"].max()) + 1))
    panels[0, 0].set_xlim(0, int(rows["change"].max()) + 1)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize="small")
    figure.suptitle(f"Through a moving catalogue: {arm}, {regime}")
    return figure


def _colours(rows: pd.DataFrame) -> dict[str, tuple[object, object]]:
    """Return colour and dashes by policy; a policy has the same in all panels."""
    names = list(dict.fromkeys(rows["policy"]))
    learned = sorted(name for name in names if name not in REFERENCES)
    drawn: dict[str, tuple[object, object]] = {
        name: (f"C{number % 10}", "-") for number, name in enumerate(learned)
    }
    greys = np.linspace(0.0, 0.65, len(REFERENCES))
    return drawn | {
        name: (str(grey), dashes)
        for name, grey, dashes in zip(REFERENCES, greys, DASHES, strict=True)
    }


def _draw(
    axes: Axes, policy: str, rows: pd.DataFrame, measure: str, style: tuple[object, object]
) -> None:
    """Draw a policy's frozen steps, and its course with updates where it has one."""
    colour, dashes = style
    numeric = rows.select_dtypes("number").columns.difference(["seed"])
    means = rows[numeric].groupby(["change", "updates"], as_index=False).mean()
    band = measure == "total_reward" and policy not in REFERENCES[1:]
    frozen = means[means["updates"] == 0]
    if "@" not in policy:
        x = np.append(frozen["change"].to_numpy(float), frozen["change"].max() + 1.0)
        y = np.append(frozen[measure].to_numpy(float), frozen[measure].iloc[-1])
        axes.step(x, y, where="post", color=colour, linestyle=dashes, label=policy)
        if band:
            low, high = (
                np.append(frozen[f"{measure}_ci_{end}"], frozen[f"{measure}_ci_{end}"].iloc[-1])
                for end in ("low", "high")
            )
            axes.fill_between(x, low, high, step="post", color=colour, alpha=0.15, linewidth=0)
    updated = means if "@" in policy else means[(means["updates"] > 0)]
    if not len(updated):
        return
    most = updated["updates"].max() or 1
    # a policy before its first change stands just before it
    since = updated["updates"].where(updated["change"] > 0, most)
    times = updated["change"] + 0.95 * since / most
    label = policy if "@" in policy else f"{policy}, with updates"
    axes.plot(times, updated[measure], color=colour, linestyle=":", marker="o", ms=4, label=label)
    if band:
        ends = (updated[f"{measure}_ci_low"], updated[f"{measure}_ci_high"])
        axes.fill_between(times, *ends, color=colour, alpha=0.08, linewidth=0)
