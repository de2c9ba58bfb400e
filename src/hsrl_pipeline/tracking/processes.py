"""Which process a run belongs to, and the end of runs whose process was killed."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from hsrl_pipeline.atomic import is_running
from hsrl_pipeline.tracking.store import EXPERIMENT_PREFIX

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

PROCESS_TAG = "hsrl.process"


def process_identity() -> str:
    """Return host, process id and its start time: unique even after the id is used again."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start_time(os.getpid())}"


def is_gone(identity: str) -> bool:
    """Return whether a process of this host no longer exists.

    Args:
        identity: What ``process_identity`` returned in that process.
    """
    host_and_pid, _, started = identity.rpartition(":")
    host, _, pid = host_and_pid.rpartition(":")
    return host == socket.gethostname() and pid.isdigit() and _start_time(int(pid)) != started


def mark_killed_runs(client: MlflowClient) -> list[str]:
    """Mark runs as KILLED whose process on this host no longer exists.

    A process that is killed outright cannot say so itself; the next one does.

    Returns:
        Ids of the runs that were marked.
    """
    marked = []
    for run in running_runs(client):
        if is_gone(run.data.tags.get(PROCESS_TAG, "")):
            client.set_terminated(run.info.run_id, status="KILLED")
            marked.append(run.info.run_id)
    return marked


def running_runs(client: MlflowClient) -> list[Run]:
    """Return the runs of the project that say they are running.

    Args:
        client: Client of the store.
    """
    experiments = [
        experiment.experiment_id
        for experiment in client.search_experiments()
        if experiment.name.startswith(EXPERIMENT_PREFIX)
    ]
    if not experiments:
        return []
    return list(client.search_runs(experiments, filter_string="attributes.status = 'RUNNING'"))


def _start_time(pid: int) -> str:
    """Return the kernel's start time of a process, ``"0"`` where it can't be told, or ``""``."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        return stat.read_text().rpartition(")")[2].split()[19]
    return "" if Path("/proc").is_dir() or not is_running(pid) else "0"
