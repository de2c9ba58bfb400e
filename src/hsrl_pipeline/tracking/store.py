"""Where runs are kept: one SQLite store and one artifact folder per project."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import FileLock
    from mlflow.tracking import MlflowClient

EXPERIMENT_PREFIX = "hsrl/"
PROCESS_TAG = "hsrl.process"
SHOWN_AS = "mlflow.experimentKind"
"""Tag by which MLflow's pages show runs and metrics, and not traces of language models."""


def tracking_uri(project: Path) -> str:
    """Return the URI of the project's store; absolute, so every folder sees the same runs.

    Args:
        project: The project's root.
    """
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{project.resolve()}/mlflow.db"


def open_client(project: Path) -> MlflowClient:
    """Return a client on the project's store.

    Args:
        project: The project's root.
    """
    from mlflow.tracking import MlflowClient

    with _first_use(project):
        client = MlflowClient(tracking_uri=tracking_uri(project))
        client.search_experiments(max_results=1)
    return client


def ensure_experiment(client: MlflowClient, project: Path, name: str) -> str:
    """Return the id of the named experiment, created on first use.

    Args:
        client: Client of the store.
        project: The project's root; artifacts go to its ``mlartifacts`` folder.
        name: Experiment name, for example ``"hsrl/ml1m"``.
    """
    with _first_use(project):
        experiment = client.get_experiment_by_name(name)
        if experiment is not None:
            return str(experiment.experiment_id)
        folder = (project.resolve() / "mlartifacts" / name).as_uri()
        return str(
            client.create_experiment(
                name, artifact_location=folder, tags={SHOWN_AS: "custom_model_development"}
            )
        )


def _first_use(project: Path) -> FileLock:
    """Return a lock that keeps two first runs from creating the same tables or experiment."""
    from filelock import FileLock

    return FileLock(project.resolve() / "mlflow.db.lock")


def process_identity() -> str:
    """Return host, process id and its start time: unique even after the id is used again."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start_time(os.getpid())}"


def mark_killed_runs(client: MlflowClient) -> list[str]:
    """Mark runs as KILLED whose process on this host no longer exists.

    A process that is killed outright cannot say so itself; the next one does.

    Returns:
        Ids of the runs that were marked.
    """
    experiments = [
        experiment.experiment_id
        for experiment in client.search_experiments()
        if experiment.name.startswith(EXPERIMENT_PREFIX)
    ]
    if not experiments:
        return []
    marked = []
    for run in client.search_runs(experiments, filter_string="attributes.status = 'RUNNING'"):
        host, _, rest = run.data.tags.get(PROCESS_TAG, "").rpartition(":")[0].rpartition(":")
        started = run.data.tags.get(PROCESS_TAG, "").rpartition(":")[2]
        if host == socket.gethostname() and rest.isdigit() and _start_time(int(rest)) != started:
            client.set_terminated(run.info.run_id, status="KILLED")
            marked.append(run.info.run_id)
    return marked


def _start_time(pid: int) -> str:
    """Return the kernel's start time of a process, ``"0"`` where it can't be told, or ``""``."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        return stat.read_text().rpartition(")")[2].split()[19]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "" if Path("/proc").is_dir() else "0"
