"""Runs and their curves out of MLflow, as pandas frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.tracking.store import EXPERIMENT_PREFIX, open_client, shown_uri, store_trouble

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

RUNS_PER_CALL = 1000
FACTS = ["run_id", "run_name", "status", "start_time", "end_time"]


def runs_frame(
    project: Path, *, experiment: str | None = None, dataset: str | None = None
) -> pd.DataFrame:
    """Return one row per run of the project, newest first.

    Args:
        project: The project's root.
        experiment: Name of a grid: only runs that belong to it, also those it shares with others.
        dataset: Name of data: only runs on it.

    Returns:
        ``run_id``, ``run_name``, ``status``, ``start_time`` and ``end_time``, then ``params.*`` and
        ``tags.*`` as text and ``metrics.*`` as float64, the last value of each. Columns are named
        as by ``mlflow.search_runs``; what a run does not have is missing.

    Raises:
        UserError: There is no such run, or the store does not answer.
    """
    client = open_client(project)
    with store_trouble(project):
        runs = [run for run in _runs(client, dataset) if _belongs(run, experiment)]
        if not runs:
            known = {name for run in _runs(client, None) for name in _experiments(run)}
            raise _nothing_found(project, experiment, dataset, sorted(known))
    frame = pd.DataFrame([_row(run) for run in runs])
    metrics = [name for name in frame.columns if name.startswith("metrics.")]
    frame = frame.astype(dict.fromkeys(metrics, "float64"))
    return frame[[*FACTS, *sorted(set(frame.columns) - {*FACTS})]]


def curves_frame(project: Path, run_ids: Iterable[str], metric: str) -> pd.DataFrame:
    """Return all points of one figure of several runs.

    Args:
        project: The project's root.
        run_ids: Ids of the runs, as in ``runs_frame``.
        metric: Name of the figure in MLflow, for example ``train_reward``.

    Returns:
        ``run_id``, ``step`` (int64) and ``value`` (float64), by run and step. No rows for runs that
        do not have the figure.

    Raises:
        UserError: The store does not answer.
    """
    client = open_client(project)
    with store_trouble(project):
        rows = [
            (run_id, point.step, point.value)
            for run_id in run_ids
            for point in sorted(
                client.get_metric_history(run_id, metric), key=lambda point: int(point.step)
            )
        ]
    frame = pd.DataFrame(rows, columns=["run_id", "step", "value"])
    return frame.astype({"step": "int64", "value": "float64"})


def _runs(client: MlflowClient, dataset: str | None) -> Iterator[Run]:
    places = [
        found.experiment_id
        for found in client.search_experiments()
        if found.name.startswith(EXPERIMENT_PREFIX)
        and dataset in (None, found.name.removeprefix(EXPERIMENT_PREFIX))
    ]
    token: str | None = None
    while places:
        found = client.search_runs(
            places,
            max_results=RUNS_PER_CALL,
            order_by=["attributes.start_time DESC"],
            page_token=token,
        )
        yield from found
        token = found.token
        if not token:
            return


def _experiments(run: Run) -> list[str]:
    """Return the names of the grids that a run belongs to."""
    names = str(run.data.tags.get("experiment", ""))
    return [name for name in names.split(",") if name]


def _belongs(run: Run, experiment: str | None) -> bool:
    return experiment is None or experiment in _experiments(run)


def _row(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.info.run_id,
        "run_name": run.info.run_name,
        "status": run.info.status,
        "start_time": pd.to_datetime(run.info.start_time, unit="ms", utc=True),
        "end_time": pd.to_datetime(run.info.end_time, unit="ms", utc=True),
        **{f"params.{name}": value for name, value in run.data.params.items()},
        **{f"tags.{name}": value for name, value in run.data.tags.items()},
        **{f"metrics.{name}": value for name, value in run.data.metrics.items()},
    }


def _nothing_found(
    project: Path, experiment: str | None, dataset: str | None, known: list[str]
) -> UserError:
    asked = f" of experiment '{experiment}'" if experiment else ""
    asked += f" on dataset '{dataset}'" if dataset else ""
    command = f"kedro experiment {experiment or 'table2'}" if experiment or known else "kedro run"
    listed = f" Experiments with runs: {', '.join(known)}." if known else ""
    return UserError(
        f"there is no run{asked}",
        where=shown_uri(project),
        remedy=f"Make one with `{command}`.{listed}",
    )
