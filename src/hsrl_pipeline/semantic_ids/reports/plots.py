"""Figures on semantic IDs, for Kedro-Viz and for the run's artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_diagnostics(diagnostics: dict[str, Any]) -> Figure:
    """Return collisions before and after the resolver, and reconstruction per level.

    Args:
        diagnostics: What ``diagnostics.diagnose`` returned.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    collisions, reconstruction = figure.subplots(1, 2)
    for offset, key, label in (
        (-0.2, "collision_histogram_before_resolver", "before the resolver"),
        (0.2, "collision_histogram", "after"),
    ):
        histogram = diagnostics[key]
        sizes = np.array([int(size) for size in histogram])
        n_items = sizes * np.array(list(histogram.values()))
        collisions.bar(sizes + offset, n_items / diagnostics["n_items"], width=0.4, label=label)
    collisions.set_yscale("log")
    collisions.set_ylim(top=2)
    collisions.xaxis.get_major_locator().set_params(integer=True)
    collisions.set_xlabel("items under one code")
    collisions.set_ylabel("share of items")
    collisions.set_title(
        f"Unique before the resolver: {diagnostics['unique_share_before_resolver']:.1%}, "
        f"after: {diagnostics['unique_share']:.1%}"
    )
    collisions.legend()
    for key, label in (
        ("reconstruction_error_before_resolver", "before the resolver"),
        ("reconstruction_error", "after"),
    ):
        errors = diagnostics[key]
        reconstruction.plot(range(1, len(errors) + 1), errors, marker="o", label=label)
    reconstruction.set_xticks(range(1, len(diagnostics["reconstruction_error"]) + 1))
    reconstruction.set_ylim(bottom=0)
    reconstruction.set_xlabel("levels used")
    reconstruction.set_ylabel("share of squared norm left over")
    reconstruction.set_title("Reconstruction error")
    reconstruction.legend()
    return figure


def plot_comparison(comparison: pd.DataFrame) -> Figure:
    """Return usage and neighbourhoods per level of the codebook and its alternatives.

    Args:
        comparison: What ``comparison.compare_codebooks`` returned.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4), layout="constrained")
    axes = figure.subplots(1, 3)
    panels = (
        ("effective_vocab", "Effective vocabulary", "equally used codes that tell as much"),
        ("continuations", "Continuations of a prefix", "equally used codes once it is known"),
        ("prefix_neighbour_share", "Neighbours under the same prefix", "share of 10 nearest"),
    )
    for axis, (column, title, label) in zip(axes, panels, strict=True):
        for variant, rows in comparison.groupby("variant", sort=False):
            unique = rows["unique_share_before_resolver"].iloc[0]
            if variant == "shuffled" and column != "prefix_neighbour_share":
                continue  # the same codes: the same usage
            dashed = "--" if variant == "shuffled" else "-"
            axis.plot(
                rows["level"], rows[column], dashed, marker="o", label=f"{variant} ({unique:.1%})"
            )
        axis.set_xticks(sorted(comparison["level"].unique()))
        axis.set_ylim(0, 1.08 * axis.get_ylim()[1])
        axis.set_xlabel("level")
        axis.set_ylabel(label)
        axis.set_title(title)
    axes[2].legend(title="variant (unique before the resolver)", fontsize="small")
    return figure
