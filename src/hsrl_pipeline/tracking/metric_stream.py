"""Training curves on their way to MLflow: buffered, yet visible while training goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping

from hsrl_pipeline.tracking.run import Point, TrackedRun, points

SECONDS_BETWEEN_WRITES = 5.0
LARGEST_BUFFER = 1000


class MetricStream:
    """Take figures of a step at no cost to the loop and write them in batches.

    Args:
        run: Where the figures go; without a run they are dropped.
    """

    def __init__(self, run: TrackedRun | None) -> None:
        self._run = run
        self._buffer: list[Point] = []
        self._last_write = time.monotonic()

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record figures.

        Args:
            step: Iteration they belong to.
            metrics: Names and values.
        """
        if self._run is None:
            return
        self._buffer.extend(points(metrics, step))
        late = time.monotonic() - self._last_write >= SECONDS_BETWEEN_WRITES
        if late or len(self._buffer) >= LARGEST_BUFFER:
            self._hand_over()

    def flush(self) -> None:
        """Write what is buffered, and wait until the store has it or is known to be away."""
        self._hand_over()
        if self._run is not None:
            self._run.wait()

    def _hand_over(self) -> None:
        if self._run is not None and self._buffer:
            self._run.log_points(self._buffer)
            self._buffer = []
        self._last_write = time.monotonic()
