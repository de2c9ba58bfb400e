"""One tiny grid as a user runs it: `kedro experiment`, then the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from tests.project_copy import copy_project, kedro

from hsrl_pipeline.tracking.store import open_client

STORE = Path("data") / "07_model_output" / "experiments"

TINY = """
title: A tiny grid
agents: [sl]
seeds: [3]
datasets: [test]
parameters: {training.n_iterations: 20, evaluation.n_episodes: 32}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("project"))
    (folder / "conf" / "experiments" / "tiny.yml").write_text(TINY)
    return folder


def output_of(project: Path, *arguments: str) -> str:
    done = kedro(project, *arguments, PYTHONPATH=str(project / "src"))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_grid_gives_the_same_numbers_twice_and_a_report(project) -> None:
    assert "1 trials finished, 0 of them earlier." in output_of(project, "experiment", "tiny")
    (path,) = (project / STORE / "trials").glob("*/result.json")
    first = json.loads(path.read_text())
    assert {row["policy"] for row in first["rows"]} >= {"sl", "static_slate", "random"}

    path.unlink()
    shutil.rmtree(project / STORE / "references")
    output_of(project, "experiment", "tiny")
    again = json.loads(path.read_text())
    assert again["rows"] == first["rows"]

    client = open_client(project)
    (experiment,) = [found for found in client.search_experiments() if "toy" in found.name]
    runs = client.search_runs([experiment.experiment_id], filter_string="tags.experiment = 'tiny'")
    trials = [run for run in runs if run.data.tags.get("trial") == first["key"]]
    assert [run.info.run_name for run in trials] == ["sl-seed3"] * 2
    # the grid itself; data, codes and simulators, which were made once; the trial twice
    assert len(runs) == 1 + 3 + 2

    output_of(project, "run", "--pipeline", "reporting")
    folder = project / "data" / "08_reporting" / "experiments"
    scores = pd.read_csv(folder / "scores.csv").set_index("policy")
    (judged,) = [
        row for row in first["rows"] if (row["policy"], row["simulator"]) == ("sl", "eval")
    ]
    assert scores.loc["sl", "iqm"] == pytest.approx(judged["total_reward"])
    assert "A tiny grid" in (folder / "report.html").read_text()
    assert not list((project / "data" / "08_reporting").glob("toy"))  # results of runs stay apart
