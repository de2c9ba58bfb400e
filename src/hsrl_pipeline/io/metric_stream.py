"""The catalog's way of handing a node a place to send curves to while it works."""

from __future__ import annotations

from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from hsrl_pipeline.tracking.metric_stream import MetricStream
from hsrl_pipeline.tracking.run import active_run


class MetricStreamDataset(AbstractDataset[NoReturn, MetricStream]):
    """Loads a ``MetricStream`` of the current MLflow run; drops the figures if there is none.

    Args:
        metadata: Read by Kedro-Viz.
    """

    def __init__(self, *, metadata: dict[str, Any] | None = None) -> None:
        self.metadata = metadata
        self._stream: MetricStream | None = None

    def load(self) -> MetricStream:
        """Return the stream; the same one until it is released."""
        if self._stream is None:
            self._stream = MetricStream(active_run())
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
