"""The runs above the trials of a grid: what MLflow shows as one line that unfolds."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from hsrl_pipeline.tracking.origin import SOURCE_NAME, source_tags
from hsrl_pipeline.tracking.outbox import Outbox
from hsrl_pipeline.tracking.processes import PROCESS_TAG, mark_killed_runs, process_identity
from hsrl_pipeline.tracking.run import LONGEST_WAIT, PARENT, points
from hsrl_pipeline.tracking.store import (
    EXPERIMENT_PREFIX,
    ensure_experiment,
    open_client,
    store_trouble,
)

GRID = "grid"
"""Tag that names a grid in one size and for one behaviour of the code."""

NOT_IN_NAMES = re.compile(r"[^\w\-. /]")
"""Signs that MLflow refuses in the names of figures."""


class GridRuns:
    """The run above the trials of a grid in the experiment of each of its datasets.

    MLflow nests runs of one experiment only, so a grid over two datasets has two of them. A grid
    that is started again goes on with the runs of its earlier start.

    Args:
        project: The project's root.
        name: Name of the grid.
        size: Its size.
        behaviour: Version of the code's behaviour; trials of another one have another parent.
        question: What the grid is to answer; shown with the run.
        datasets: Names of its data.

    Raises:
        UserError: The store of runs does not answer.
    """

    def __init__(
        self,
        project: Path,
        *,
        name: str,
        size: str,
        behaviour: str,
        question: str,
        datasets: Iterable[str],
    ) -> None:
        self._project = project
        self._name = f"{name} ({size})"
        self._command = f"kedro experiment {name}"
        self._tags = {
            "experiment": name,
            "size": size,
            "behaviour": behaviour,
            GRID: f"{name}-{size}-{behaviour}",
            "mlflow.note.content": question,
        }
        self._client = open_client(project)
        with store_trouble(project):
            mark_killed_runs(self._client)
            self._runs = {dataset: self._open(dataset) for dataset in dict.fromkeys(datasets)}

    def child_tags(self, dataset: str) -> dict[str, str]:
        """Return the tags that put a run below that of its grid.

        Args:
            dataset: Name of the run's data.
        """
        return {PARENT: self._runs[dataset], SOURCE_NAME: self._command}

    def end(self, status: str, figures: Mapping[str, Mapping[str, float]]) -> None:
        """Write what the grid has found, and end its runs.

        Args:
            status: FINISHED, FAILED or KILLED.
            figures: By name for each dataset.
        """
        for dataset, run_id in self._runs.items():
            outbox = Outbox(self._client, self._project, run_id)
            named = {
                NOT_IN_NAMES.sub("_", name): value
                for name, value in figures.get(dataset, {}).items()
            }
            if named:
                outbox.put({"kind": "metrics", "values": points(named, step=0)})
            outbox.put({"kind": "end", "status": status, "time": int(time.time() * 1000)})
            outbox.close(LONGEST_WAIT)

    def _open(self, dataset: str) -> str:
        experiment = ensure_experiment(self._client, self._project, EXPERIMENT_PREFIX + dataset)
        own = {
            **source_tags(self._project, self._command),
            **self._tags,
            "dataset": dataset,
            PROCESS_TAG: process_identity(),
        }
        earlier = self._client.search_runs(
            [experiment], filter_string=f"tags.{GRID} = '{self._tags[GRID]}'", max_results=1
        )
        if not earlier:
            run = self._client.create_run(experiment, run_name=self._name, tags=own)
            return str(run.info.run_id)
        run_id = str(earlier[0].info.run_id)
        for name, value in own.items():
            self._client.set_tag(run_id, name, value)
        self._client.update_run(run_id, status="RUNNING")
        return run_id
