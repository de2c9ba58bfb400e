"""The run above the trials of a grid: one over all starts, with what was found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hsrl_pipeline.tracking.grid_runs import PARENT, GridRuns
from hsrl_pipeline.tracking.processes import PROCESS_TAG
from hsrl_pipeline.tracking.store import open_client

GRID = {"name": "mine", "size": "quick", "behaviour": "b1", "question": "Which one?"}


@pytest.fixture(scope="module")
def project(tmp_path_factory, with_store) -> Path:
    return with_store(tmp_path_factory.mktemp("project"))


def parent(runs: GridRuns, dataset: str = "toy") -> str:
    return runs.child_tags(dataset)[PARENT]


def test_one_run_over_all_starts_with_the_figures_of_the_last(project) -> None:
    client = open_client(project)
    first = GridRuns(project, **GRID, datasets=["toy", "toy"])
    started = client.get_run(parent(first))
    assert (started.info.run_name, started.info.status) == ("mine (quick)", "RUNNING")
    assert started.data.tags["mlflow.note.content"] == "Which one?"
    assert started.data.tags["mlflow.source.name"] == "kedro experiment mine"
    first.end("FAILED", {"toy": {"trials": 2.0, "iqm.hsrl+x1": 1.5}})
    ended = client.get_run(parent(first))
    assert ended.info.status == "FAILED"
    assert ended.data.metrics == {"trials": 2.0, "iqm.hsrl_x1": 1.5}

    again = GridRuns(project, **GRID, datasets=["toy"])
    assert parent(again) == parent(first)
    assert client.get_run(parent(again)).info.status == "RUNNING"
    again.end("FINISHED", {"toy": {"trials": 3.0}})
    assert client.get_run(parent(again)).info.status == "FINISHED"
    assert client.get_run(parent(again)).data.metrics["trials"] == 3.0


def test_a_killed_grid_goes_on_with_its_run(project) -> None:
    killed = (
        "import os, sys; from pathlib import Path;"
        "from hsrl_pipeline.tracking.grid_runs import GridRuns;"
        "runs = GridRuns(Path(sys.argv[1]), name='killed', size='quick', behaviour='b1',"
        " question='', datasets=['toy']);"
        "print(runs.child_tags('toy')['mlflow.parentRunId'], flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", killed, str(project)], capture_output=True, text=True, check=False
    )
    again = GridRuns(project, **{**GRID, "name": "killed"}, datasets=["toy"])
    assert parent(again) == done.stdout.strip()
    run = open_client(project).get_run(parent(again))
    assert run.info.status == "RUNNING"
    assert f":{os.getpid()}:" in run.data.tags[PROCESS_TAG]
    again.end("FINISHED", {})


def test_another_size_behaviour_or_dataset_has_another_run(project) -> None:
    runs = GridRuns(project, **{**GRID, "name": "several"}, datasets=["toy", "other"])
    assert parent(runs) != parent(runs, "other")
    for different in ({"size": "full"}, {"behaviour": "b2"}):
        assert parent(
            GridRuns(project, **{**GRID, "name": "several", **different}, datasets=["toy"])
        ) != parent(runs)
