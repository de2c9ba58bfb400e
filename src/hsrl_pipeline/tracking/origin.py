"""Where a run comes from: the code that made it, and the data it has read."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hsrl_pipeline.experiments.versions import commit_of
from hsrl_pipeline.tracking.run import TrackedData

SOURCE_NAME = "mlflow.source.name"
"""Tag that MLflow shows as the source of a run."""

TYPES = {
    "int64": "long",
    "int32": "integer",
    "int16": "integer",
    "int8": "integer",
    "double": "double",
    "float": "float",
    "bool": "boolean",
}
"""Types of columns by MLflow's names; all others are shown as strings."""


def source_tags(project: Path, command: str) -> dict[str, str]:
    """Return the tags by which MLflow shows who started a run, with what, and from which commit.

    Args:
        project: The project's root.
        command: What was typed, without its options.
    """
    tags = {
        SOURCE_NAME: command,
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
        "commit": commit_of(project),
    }
    commit = _full_commit(project)
    return {**tags, "mlflow.source.git.commit": commit} if commit else tags


def tracked_data(info: Mapping[str, Any], log: Path | None, context: str) -> TrackedData:
    """Return what MLflow is told about a dataset, without reading any of its rows.

    Args:
        info: Content of ``dataset_info``.
        log: The file of its interactions; None where it is not on this machine.
        context: What the run does with the data.
    """
    sizes = {
        name: int(info[name])
        for name in ("n_users", "n_items", "n_train_slates", "n_test_slates")
        if name in info
    }
    columns: dict[str, str] = {}
    place = ""
    if log is not None and log.is_file():
        import pyarrow.parquet as pq

        with pq.ParquetFile(log) as file:
            sizes["n_interactions"] = file.metadata.num_rows
            columns = {
                column.name: TYPES.get(str(column.type), "string") for column in file.schema_arrow
            }
        place = str(log.resolve().parent)
    return TrackedData(
        name=str(info["dataset"]),
        version=str(info["version"]),
        place=place,
        context=context,
        sizes=sizes,
        columns=columns,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def _full_commit(project: Path) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(project), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
