"""Training curves: means of what updates reported between two points."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch

from hsrl_pipeline.agents.base import UpdateStats


class Curves:
    """Sums update statistics on the device and turns them into rows of figures.

    Statistics with the same names are added up as one vector, so that an update costs one
    addition and no copy to the host.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], torch.Tensor] = {}
        self._counts: dict[tuple[str, ...], int] = {}
        self._rows: list[dict[str, float]] = []

    def add(self, stats: UpdateStats) -> None:
        """Count the statistics of one update."""
        named = {**stats.losses, **stats.diagnostics}
        names = tuple(named)
        values = torch.stack([value.detach().to(torch.float32) for value in named.values()])
        self._sums[names] = self._sums[names] + values if names in self._sums else values
        self._counts[names] = self._counts.get(names, 0) + 1

    def read(self) -> dict[str, float]:
        """Return the means since the last call and start anew."""
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        for names, sums in self._sums.items():
            for name, value in zip(names, sums.tolist(), strict=True):
                totals[name] = totals.get(name, 0.0) + value
                counts[name] = counts.get(name, 0) + self._counts[names]
        self._sums, self._counts = {}, {}
        return {name: total / counts[name] for name, total in totals.items()}

    def first_not_finite(self) -> str | None:
        """Return the name of a statistic that is not a finite number, without starting anew."""
        for names, sums in self._sums.items():
            finite = sums.isfinite()
            if not bool(finite.all()):
                return names[int((~finite).nonzero()[0, 0])]
        return None

    def append(self, iteration: int, figures: dict[str, float]) -> None:
        """Add a point to the history."""
        self._rows.append({"iteration": float(iteration), **figures})

    def history(self) -> pd.DataFrame:
        """Return one row per point: ``iteration`` int64 and float64 figures, NaN where unknown."""
        frame = pd.DataFrame(self._rows, columns=None if self._rows else ["iteration"])
        return frame.astype("float64").astype({"iteration": "int64"})

    def state_dict(self) -> dict[str, Any]:
        """Return sums, counts and history."""
        return {
            "names": [list(names) for names in self._sums],
            "sums": list(self._sums.values()),
            "counts": list(self._counts.values()),
            "rows": [dict(row) for row in self._rows],
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore what ``state_dict`` returned."""
        keys = [tuple(names) for names in state["names"]]
        self._sums = {key: value.to(device) for key, value in zip(keys, state["sums"], strict=True)}
        self._counts = dict(zip(keys, state["counts"], strict=True))
        self._rows = [dict(row) for row in state["rows"]]
