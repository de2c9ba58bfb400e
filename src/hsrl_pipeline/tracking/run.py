"""One MLflow run per Kedro run, written through the client so that its end is always explicit."""

from __future__ import annotations

import atexit
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsrl_pipeline.config.dotted_names import flat
from hsrl_pipeline.tracking.outbox import Outbox, send_kept_runs
from hsrl_pipeline.tracking.processes import (
    PROCESS_TAG,
    mark_killed_runs,
    process_identity,
    running_runs,
)
from hsrl_pipeline.tracking.store import ensure_experiment, open_client, store_trouble

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

logger = logging.getLogger(__name__)

Point = tuple[str, float, int, int]
"""A figure's name, value, time in milliseconds since 1970 and step."""

PARAMS_PER_CALL = 100
METRICS_PER_CALL = 1000
LONGEST_PARAM = 500
PARENT = "mlflow.parentRunId"
"""Tag of a run that MLflow shows below another one: that of its grid."""

LONGEST_WAIT = 30.0
"""Seconds to wait for a store that is slow; it counts as away long before."""

_active: TrackedRun | None = None


@dataclass(frozen=True)
class RunSetting:
    """What the runs of a process share, where it runs more than one.

    Attributes:
        project: Root of the project whose store they are kept in; None for the session's own.
        tags: Tags that they have besides their own.
    """

    project: Path | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


_setting = RunSetting()


@dataclass(frozen=True)
class TrackedData:
    """What MLflow is told about the data of a run.

    Attributes:
        name: Name of the dataset.
        version: Changes with the content.
        place: Folder of its tables.
        context: What the run does with it, for example ``training``.
        sizes: Counts of what is in it.
        columns: Name and type of the columns of its log; may be empty.
    """

    name: str
    version: str
    place: str
    context: str
    sizes: Mapping[str, int]
    columns: Mapping[str, str] = field(default_factory=dict)


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
        client = open_client(project)
        with store_trouble(project):
            mark_killed_runs(client)
            send_kept_runs(client, project)
            experiment_id = ensure_experiment(client, project, experiment)
            if PARENT not in tags:
                _warn_of_a_twin(client, experiment_id, run_name)
            run = client.create_run(
                experiment_id,
                run_name=run_name,
                tags={**tags, PROCESS_TAG: process_identity()},
            )
        self.run_id = str(run.info.run_id)
        self._outbox = Outbox(client, project, self.run_id)
        self._open = True
        atexit.register(self.end, "KILLED")

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log a nested mapping as flat, dotted parameters."""
        pairs = [[name, str(value)[:LONGEST_PARAM]] for name, value in flat(params).items()]
        for start in range(0, len(pairs), PARAMS_PER_CALL):
            self._outbox.put({"kind": "params", "values": pairs[start : start + PARAMS_PER_CALL]})
        self.wait()

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log figures of one step."""
        self.log_points(points(metrics, step))
        self.wait()

    def log_points(self, values: list[Point]) -> None:
        """Log many figures in few calls and at once; they are sent from beside the caller."""
        for start in range(0, len(values), METRICS_PER_CALL):
            self._outbox.put(
                {"kind": "metrics", "values": values[start : start + METRICS_PER_CALL]}
            )

    def log_artifact(self, path: Path) -> None:
        """Copy a file or folder into the run."""
        self._outbox.put({"kind": "artifact", "path": str(path.resolve())})
        self.wait()

    def log_dataset(self, data: TrackedData) -> None:
        """Name the data that the run reads."""
        self._outbox.put({"kind": "dataset", **asdict(data)})
        self.wait()

    def log_model(self, path: Path, name: str, model_type: str, tags: Mapping[str, str]) -> None:
        """Enter a trained model among those of the experiment.

        Args:
            path: Its file.
            name: Its name in MLflow.
            model_type: What kind of model it is.
            tags: Tags to find it by.
        """
        self._outbox.put(
            {
                "kind": "model",
                "path": str(path.resolve()),
                "name": name,
                "type": model_type,
                "tags": dict(tags),
            }
        )
        self.wait()

    def set_tag(self, name: str, value: str) -> None:
        """Set a tag of the run."""
        self._outbox.put({"kind": "tag", "name": name, "value": value})
        self.wait()

    def wait(self, seconds: float = LONGEST_WAIT) -> bool:
        """Wait until what was logged is in the store; return whether it is."""
        return self._outbox.wait(seconds)

    def end(self, status: str) -> None:
        """End the run as FINISHED, FAILED or KILLED; only the first call counts."""
        if self._open:
            self._open = False
            atexit.unregister(self.end)
            now = int(time.time() * 1000)
            self._outbox.put({"kind": "end", "status": status, "time": now})
            self._outbox.close(LONGEST_WAIT)


def points(metrics: Mapping[str, float], step: int) -> list[Point]:
    """Return figures stamped with the current time."""
    now = int(time.time() * 1000)
    return [(name, float(value), now, step) for name, value in metrics.items()]


def _warn_of_a_twin(client: MlflowClient, experiment_id: str, name: str) -> None:
    """Say that a run of the same name is under way: both write the same files of the dataset.

    Runs of a grid write files of their own.
    """
    for run in running_runs(client):
        in_a_grid = PARENT in run.data.tags
        if run.info.run_name == name and run.info.experiment_id == experiment_id and not in_a_grid:
            logger.warning(
                "A run named %s is under way already (%s). Both are tracked, but they write the"
                " same files below data/, where the last one to finish wins. Give one of them"
                " another seed or agent.label, or wait for it",
                name,
                run.data.tags.get(PROCESS_TAG, "unknown process"),
            )


def active_run() -> TrackedRun | None:
    """Return the run that this process writes to, if there is one."""
    return _active


def set_active_run(run: TrackedRun | None) -> None:
    """Make a run the one that this process writes to."""
    global _active  # noqa: PLW0603
    _active = run


def run_setting() -> RunSetting:
    """Return what the next runs of this process share."""
    return _setting


def set_run_setting(setting: RunSetting) -> None:
    """Give the next runs of this process a store and tags."""
    global _setting  # noqa: PLW0603
    _setting = setting
