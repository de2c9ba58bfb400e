"""Pictures of an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from hsrl_pipeline.config.session import REGIMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIMULATORS = ("train", "eval")
INCHES_PER_ROW = 0.32


def plot_steps(steps: pd.DataFrame) -> Figure:
    """Draw the mean reward and the share of running sessions by step.

    Args:
        steps: Columns ``policy``, ``simulator``, ``regime``, ``step``, ``survival``, ``reward``.

    Returns:
        One column of panels per simulator, one line per policy.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    panels = figure.subplots(2, len(SIMULATORS), sharex=True, sharey="row")
    for column, simulator in enumerate(SIMULATORS):
        own = steps[steps["simulator"] == simulator]
        for row, measure in enumerate(("reward", "survival")):
            axes = panels[row, column]
            for policy, line in own.groupby("policy", sort=False):
                axes.plot(line["step"], line[measure], marker=".", label=policy)
            axes.grid(alpha=0.3)
        regimes = ", ".join(own["regime"].unique())
        panels[0, column].set_title(f"{simulator} simulator, {regimes}")
        panels[1, column].set_xlabel("step of the session")
    panels[0, 0].set_ylabel("mean reward of running sessions")
    panels[1, 0].set_ylabel("share of sessions running")
    panels[0, -1].legend(fontsize="small")
    return figure


def plot_differences(differences: pd.DataFrame) -> Figure:
    """Draw the paired differences in total reward on the evaluation simulator.

    Args:
        differences: As ``comparison.paired_differences`` returns them.

    Returns:
        One panel per regime, the one without repeats on top; in it one row per policy and seed
        with its 95 % interval, best on top.
    """
    from matplotlib.figure import Figure

    judged = differences[differences["simulator"] == "eval"]
    parts = [(regime, judged[judged["regime"] == regime]) for regime in REGIMES]
    parts = [(regime, own) for regime, own in parts if len(own)] or [("repeats", judged)]
    heights = [1.8 + INCHES_PER_ROW * len(own) for _, own in parts]
    figure = Figure(figsize=(8, sum(heights)), layout="constrained")
    panels = figure.subplots(len(parts), squeeze=False, height_ratios=heights)[:, 0]
    for axes, (regime, own) in zip(panels, parts, strict=True):
        _draw_differences(axes, own.sort_values("total_reward_difference"))
        axes.set_title(regime)
    return figure


def _draw_differences(axes: Axes, own: pd.DataFrame) -> None:
    mean = own["total_reward_difference"]
    whiskers = [  # an interval of equal sessions may miss their mean by rounding
        (mean - own["total_reward_difference_ci_low"]).clip(lower=0.0),
        (own["total_reward_difference_ci_high"] - mean).clip(lower=0.0),
    ]
    rows = range(len(own))
    axes.errorbar(mean, rows, xerr=whiskers, fmt="o", capsize=3)
    axes.set_yticks(
        rows, [f"{p}, seed {s}" for p, s in zip(own["policy"], own["seed"], strict=True)]
    )
    axes.axvline(0.0, color="black", linewidth=0.8)
    names = ", ".join(own["compared_with"].unique())
    axes.set_xlabel(f"total reward minus that of {names}, same sessions, 95 % interval")
    axes.grid(alpha=0.3, axis="x")
