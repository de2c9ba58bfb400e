"""One MLflow run per Kedro run, written through the client so that its end is always explicit."""

from __future__ import annotations

import atexit
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsrl_pipeline.tracking.store import (
    PROCESS_TAG,
    ensure_experiment,
    mark_killed_runs,
    open_client,
    process_identity,
)

if TYPE_CHECKING:
    from mlflow.entities import Metric

PARAMS_PER_CALL = 100
METRICS_PER_CALL = 1000
LONGEST_PARAM = 500

_active: TrackedRun | None = None


class TrackedRun:
    """The run that the current process writes to.

    Args:
        project: The project's root.
        experiment: Experiment name.
        run_name: Shown in MLflow's list.
        tags: Tags to search and compare by.
    """

    def __init__(
        self, project: Path, experiment: str, run_name: str, tags: Mapping[str, str]
    ) -> None:
        self._client = open_client(project)
        mark_killed_runs(self._client)
        run = self._client.create_run(
            ensure_experiment(self._client, project, experiment),
            run_name=run_name,
            tags={**tags, PROCESS_TAG: process_identity()},
        )
        self.run_id = str(run.info.run_id)
        self._open = True
        atexit.register(self.end, "KILLED")

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log a nested mapping as flat, dotted parameters."""
        from mlflow.entities import Param

        flat = [
            Param(name, str(value)[:LONGEST_PARAM])
            for name, value in flatten_params(params).items()
        ]
        for start in range(0, len(flat), PARAMS_PER_CALL):
            self._client.log_batch(self.run_id, params=flat[start : start + PARAMS_PER_CALL])

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log figures of one step."""
        self.log_metric_batch(to_metrics(metrics, step))

    def log_metric_batch(self, metrics: list[Metric]) -> None:
        """Log many figures in few calls; the SQLite store is slow per call, not per figure."""
        for start in range(0, len(metrics), METRICS_PER_CALL):
            self._client.log_batch(self.run_id, metrics=metrics[start : start + METRICS_PER_CALL])

    def log_artifact(self, path: Path) -> None:
        """Copy a file or folder into the run."""
        if path.is_dir():
            self._client.log_artifacts(self.run_id, str(path), path.name)
        else:
            self._client.log_artifact(self.run_id, str(path))

    def set_tag(self, name: str, value: str) -> None:
        """Set a tag of the run."""
        self._client.set_tag(self.run_id, name, value)

    def end(self, status: str) -> None:
        """End the run as FINISHED, FAILED or KILLED; only the first call counts."""
        if self._open:
            self._open = False
            atexit.unregister(self.end)
            self._client.set_terminated(self.run_id, status=status)


def to_metrics(metrics: Mapping[str, float], step: int) -> list[Metric]:
    """Return MLflow metrics stamped with the current time."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [Metric(name, float(value), now, step) for name, value in metrics.items()]


def flatten_params(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return ``{"a": {"b": 1}}`` as ``{"a.b": 1}``."""
    flat: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            flat.update(flatten_params(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def active_run() -> TrackedRun | None:
    """Return the run that this process writes to, if there is one."""
    return _active


def set_active_run(run: TrackedRun | None) -> None:
    """Make a run the one that this process writes to."""
    global _active  # noqa: PLW0603
    _active = run
