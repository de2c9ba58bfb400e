"""Matplotlib figure on disk, written atomically and shown by Kedro-Viz."""

from __future__ import annotations

from typing import Any

from kedro_datasets.matplotlib import MatplotlibDataset

from hsrl_pipeline.io.atomic_datasets import AtomicSaveMixin


class AtomicFigureDataset(AtomicSaveMixin, MatplotlibDataset):
    """``kedro_datasets.matplotlib.MatplotlibDataset`` for one figure per file."""

    def save(self, data: Any) -> None:
        """Save the figure and free the memory pyplot holds for it."""
        import matplotlib.pyplot as plt

        super().save(data)
        plt.close(data)
