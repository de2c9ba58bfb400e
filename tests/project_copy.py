"""A copy of the project in a folder of its own, and Kedro run in it as a user does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def copy_project(folder: Path) -> Path:
    """Copy settings and code into a folder, with an empty place for raw data."""
    shutil.copytree(PROJECT / "conf", folder / "conf")
    shutil.copy(PROJECT / "pyproject.toml", folder)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(PROJECT / "src", folder / "src", ignore=ignored)  # Kedro refuses a link
    (folder / "data" / "01_raw").mkdir(parents=True)
    return folder


def kedro(
    project: Path, *arguments: str, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of Kedro in a project, without MLflow settings of whoever runs the tests."""
    environment = {name: value for name, value in os.environ.items() if "MLFLOW" not in name}
    return subprocess.run(
        [sys.executable, "-m", "kedro", *arguments],
        cwd=cwd or project,
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "DO_NOT_TRACK": "true", **variables},
    )
