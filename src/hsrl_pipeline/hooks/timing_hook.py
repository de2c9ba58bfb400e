"""How long each pipeline of a run took, in one line at its end."""

from __future__ import annotations

import logging
import time
from collections import defaultdict

from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

logger = logging.getLogger(__name__)


class TimingHook:
    """Add up the seconds of the nodes of each pipeline, saving and loading included."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._last: float | None = None

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Forget the seconds of an earlier run."""
        self._seconds.clear()
        self._last = None

    @hook_impl
    def before_dataset_loaded(self) -> None:
        """Start the clock with the first thing the run does itself."""
        if self._last is None:
            self._last = time.monotonic()

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Charge the time since the last event to this node's pipeline."""
        self._charge(node)

    @hook_impl
    def after_dataset_saved(self, node: Node) -> None:
        """Charge the time a node's output took to save."""
        self._charge(node)

    def _charge(self, node: Node) -> None:
        now = time.monotonic()
        if self._last is not None:
            self._seconds[node.namespace or "other"] += now - self._last
        self._last = now

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Log the seconds by pipeline."""
        parts = [f"{name} {seconds:.1f} s" for name, seconds in self._seconds.items()]
        logger.info("Time by pipeline: %s", ", ".join(parts))
