"""Training curves on their way to MLflow: buffered, yet visible while training goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from hsrl_pipeline.tracking.run import Point, TrackedRun, active_run, points

SECONDS_BETWEEN_WRITES = 5.0
LARGEST_BUFFER = 1000


class MetricStream:
    """Take figures of a step at no cost to the loop and write them in batches.

    Args:
        run: Where the figures go; without a run they are dropped.
        prefix: Put before the names of the figures.
        without_prefix: Names that stay as they are.
    """

    def __init__(
        self, run: TrackedRun | None, prefix: str = "", without_prefix: Sequence[str] = ()
    ) -> None:
        self._run = run
        self._prefix = prefix
        self._without_prefix = without_prefix
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
        named = {
            name if name in self._without_prefix else self._prefix + name: value
            for name, value in metrics.items()
        }
        self._buffer.extend(points(named, step))
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


class MetricStreamDataset(AbstractDataset[NoReturn, MetricStream]):
    """Loads a ``MetricStream`` of the current MLflow run; drops the figures if there is none.

    Args:
        prefix: Put before the names of the figures in MLflow.
        without_prefix: Names that stay as they are.
        metadata: Read by Kedro-Viz.
    """

    def __init__(
        self,
        *,
        prefix: str = "",
        without_prefix: Sequence[str] = (),
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.metadata = metadata
        self._naming = (prefix, without_prefix)
        self._stream: MetricStream | None = None

    def load(self) -> MetricStream:
        """Return the stream; the same one until it is released."""
        if self._stream is None:
            self._stream = MetricStream(active_run(), *self._naming)
        return self._stream

    def save(self, data: NoReturn) -> None:
        """Refuse: figures are sent through the stream.

        Raises:
            DatasetError: Always.
        """
        raise DatasetError("a metric stream can only be loaded")

    def _release(self) -> None:
        if self._stream is not None:
            self._stream.flush()
        self._stream = None

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {}
