"""The fidelity report as figures: one panel per simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from hsrl_pipeline.simulator.response.fidelity import FidelityTables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"train": "tab:blue", "test": "tab:orange", "recorded": "tab:green"}
PANEL_INCHES = (5.2, 4.2)


def plot_reliability(tables: FidelityTables) -> Figure:
    """Return observed against predicted click rate by bin; the diagonal is perfect."""
    figure, panels = _panels(tables.reliability, "Reliability")
    errors = {
        (row["simulator"], row["split"]): row["ece"] for row in tables.scores.to_dict("records")
    }
    for simulator, axes in panels.items():
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
        for split, rows in _splits(tables.reliability, simulator):
            axes.plot(
                rows["predicted"],
                rows["observed"],
                marker="o",
                markersize=4,
                color=COLOURS[split],
                label=f"{split} rows, calibration error {errors[simulator, split]:.3f}",
            )
        axes.set(xlabel="predicted click probability", xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="upper left", fontsize=8)
    _first(panels).set_ylabel("observed click rate")
    return figure


def plot_slate_clicks(tables: FidelityTables) -> Figure:
    """Return the distribution of clicks per slate, log against simulator."""
    figure, panels = _panels(tables.slate_clicks, "Clicks per slate")
    for simulator, axes in panels.items():
        for split, rows in _splits(tables.slate_clicks, simulator):
            _plot_beside(axes, rows, split, "n_clicks", "share")
        axes.set_xlabel("clicks in a slate")
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=8)
    _first(panels).set_ylabel("share of slates")
    return figure


def plot_popularity(tables: FidelityTables) -> Figure:
    """Return the click rate by tenth of the catalogue, log against simulator."""
    figure, panels = _panels(tables.popularity, "Click rate by item popularity")
    for simulator, axes in panels.items():
        for split, rows in _splits(tables.popularity, simulator):
            _plot_beside(axes, rows, split, "decile", "click_rate")
        axes.set_xlabel("tenth of the catalogue by training exposures (10: most shown)")
        axes.set_ylim(0, 1)
        axes.legend(fontsize=8)
    _first(panels).set_ylabel("click rate")
    return figure


def _plot_beside(axes: Axes, rows: pd.DataFrame, split: str, x: str, columns: str) -> None:
    """Draw what the log says and what the simulator says over one column."""
    colour = COLOURS[split]
    axes.plot(
        rows[x], rows[f"{columns}_log"], "o-", color=colour, markersize=4, label=f"log, {split}"
    )
    axes.plot(
        rows[x],
        rows[f"{columns}_model"],
        "x--",
        color=colour,
        markersize=4,
        label=f"simulator, {split}",
    )


def _panels(table: pd.DataFrame, title: str) -> tuple[Figure, dict[str, Axes]]:
    """Return a figure with one panel per simulator, in the table's order."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(table["simulator"]))
    width, height = PANEL_INCHES
    figure = Figure(figsize=(width * len(names), height), layout="constrained")
    grid = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    panels = dict(zip(names, grid, strict=True))
    for name, axes in panels.items():
        axes.set_title(f"{title}: simulator_{name}", fontsize=10)
        axes.grid(alpha=0.3)
    return figure, panels


def _splits(table: pd.DataFrame, simulator: str) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of one simulator, split by split."""
    own = table[table["simulator"] == simulator]
    return [(str(split), rows) for split, rows in own.groupby("split", sort=False)]


def _first(panels: dict[str, Axes]) -> Axes:
    return next(iter(panels.values()))
