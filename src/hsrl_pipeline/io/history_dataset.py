"""The curves of one training as a table on disk, shown by Kedro-Viz as a picture."""

from __future__ import annotations

import base64
import io
import math

import pandas as pd
from kedro_datasets._typing import ImagePreview

from hsrl_pipeline.io.atomic_datasets import AtomicParquetDataset

PANELS_PER_ROW = 4
FIRST = ("train_reward", "train_depth", "effective_items")
"""Curves that tell most, drawn before the others."""


class TrainingHistoryDataset(AtomicParquetDataset):
    """A table with ``iteration`` and one column per curve."""

    def preview(self) -> ImagePreview:
        """Return a picture of all curves for Kedro-Viz: a PNG in base64."""
        from matplotlib.figure import Figure

        history = pd.read_parquet(str(self._filepath)).set_index("iteration")
        first = [name for name in FIRST if name in history]
        names = [*first, *sorted(set(history.columns) - {*first})]
        n_rows = math.ceil(len(names) / PANELS_PER_ROW)
        figure = Figure(figsize=(3.2 * PANELS_PER_ROW, 2.2 * n_rows), layout="constrained")
        panels = figure.subplots(n_rows, PANELS_PER_ROW, squeeze=False).flat
        for name, panel in zip(names, panels, strict=False):
            curve = history[name].dropna()
            panel.plot(curve.index, curve, marker="o" if len(curve) == 1 else None)
            panel.set_title(name, fontsize="small")
            panel.tick_params(labelsize="x-small")
            panel.grid(alpha=0.3)
        for panel in panels:  # those that are left over
            panel.set_axis_off()
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=100)
        return ImagePreview(base64.b64encode(picture.getvalue()).decode())
