"""A grid from its file to results: what is shared, skipped, failed and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.experiment_runs.grid_run import grid_names, run_grid
from hsrl_pipeline.experiment_runs.plan import STORE, Planner, environments
from hsrl_pipeline.experiment_runs.stages import project_stages
from hsrl_pipeline.experiments.grid import read_grid
from hsrl_pipeline.experiments.grid_file import SIZES
from hsrl_pipeline.experiments.pool import Outcome, ProcessPool, one_line
from hsrl_pipeline.experiments.store import ExperimentStore

CONF = Path(__file__).parents[2] / "conf"

TEN = """
title: Ten trials
variants: [{label: bad, agent: sl}]
seeds: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
datasets: [test]
"""

SLOW = TEN.replace("bad", "slow")

PARENT = """
import sys
from pathlib import Path
from hsrl_pipeline.experiment_runs.grid_run import run_grid
from hsrl_pipeline.experiments.pool import ProcessPool
from fake_step import fake_step
if __name__ == "__main__":
    project = Path(sys.argv[1])
    pool = ProcessPool(fake_step, 2)
    run_grid(project, project / "conf", "slow", make_pool=lambda: pool, tracked=False)
"""


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project with this configuration, whose processes find the stand-in for a session."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    (tmp_path / "conf" / "experiments").mkdir(parents=True)
    for folder in ("base", "test", "ml100k"):
        (tmp_path / "conf" / folder).symlink_to(CONF / folder)
    (tmp_path / "data" / "01_raw").mkdir(parents=True)
    return tmp_path


class InlinePool:
    """Does the jobs one after the other in the process of the test."""

    n_workers = 1

    def __init__(self, work) -> None:
        self._work = work

    def outcomes(self, jobs):
        for job in jobs:
            error = None
            try:
                self._work(job.content)
            except Exception as failure:
                error = one_line(failure)
            yield Outcome(job, error, 0.0)

    def close(self) -> None:
        pass


@pytest.fixture
def run(project):
    """Run a grid with the stand-in."""
    from fake_step import fake_step

    def run(text: str, name: str = "mine", pool=InlinePool):
        (project / "conf" / "experiments" / f"{name}.yml").write_text(text)
        return run_grid(
            project, project / "conf", name, make_pool=lambda: pool(fake_step), tracked=False
        )

    return run


def results(project: Path) -> list[Path]:
    return sorted((project / STORE / "trials").glob("*/result.json"))


def shared_steps(project: Path) -> list[str]:
    return sorted(path.name.rpartition("-")[0] for path in (project / STORE / "steps").iterdir())


def test_a_failing_trial_of_ten_leaves_nine_results_and_one_line(project, run, caplog) -> None:
    done = run(TEN, pool=lambda work: ProcessPool(work, 2))
    assert (done.finished, done.skipped, len(results(project))) == (9, 0, 9)
    (line,) = done.failed
    assert line.startswith("bad, seed 4, test, repeats: ValueError: this one always fails (log: ")
    assert sum("Failed" in record.message for record in caplog.records) == 1
    (experiment,) = ExperimentStore(project / STORE).experiments()
    errors = {entry.seed: entry.error for entry in experiment.trials if entry.error}
    assert errors == {4: "ValueError: this one always fails"}


def test_data_codes_and_simulators_are_made_once(project, run) -> None:
    run(TEN)
    assert shared_steps(project) == ["ingestion", "sid_tokenization", "simulator_training"]
    calls = [path.read_text() for path in (project / STORE / "steps").glob("*/calls.txt")]
    assert [len(text.splitlines()) for text in calls] == [1, 1, 1]


def test_codes_alone_are_made_anew_where_only_they_change(project, run) -> None:
    run(TEN.replace("[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]", "[0]") + "grid: {sid.n_levels: [2, 3]}\n")
    assert shared_steps(project) == [
        "ingestion",
        "sid_tokenization",
        "sid_tokenization",
        "simulator_training",
    ]
    assert len(results(project)) == 2


def test_a_second_start_runs_only_what_failed(project, run) -> None:
    run(TEN)
    done = run(TEN)
    assert (done.finished, done.skipped, len(done.failed)) == (9, 9, 1)


def test_another_setting_is_another_trial(project, run) -> None:
    run(TEN)
    assert run(TEN + "parameters: {training.batch_size: 8}\n").skipped == 0


def test_what_does_not_concern_the_agent_is_the_same_trial(project, run) -> None:
    run(TEN)
    assert run(TEN + "parameters: {agents.td3.policy_delay: 3}\n").skipped == 9


def test_new_raw_files_make_data_anew_and_equal_data_keep_their_trials(project, run) -> None:
    run(TEN)
    (project / "data" / "01_raw" / "new.csv").write_text("x")
    assert run(TEN).skipped == 9
    assert shared_steps(project).count("ingestion") == 2
    assert shared_steps(project).count("simulator_training") == 1


def test_results_carry_settings_commit_and_behaviour(project, run) -> None:
    run(TEN + "parameters: {training.batch_size: 8}\n")
    kept = json.loads(results(project)[0].read_text())
    assert kept["overrides"] == {"training.batch_size": 8}
    assert kept["parameters"]["training"]["batch_size"] == 8
    assert list(kept["parameters"]["agents"]) == ["sl"]
    assert kept["commit"] == "unknown"
    assert len(kept["behaviour"]) == 12


def test_a_killed_grid_loses_at_most_the_trials_in_flight(project, run) -> None:
    (project / "conf" / "experiments" / "slow.yml").write_text(SLOW)
    paths = [str(Path(__file__).parent), *sys.path]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(project)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    for _ in range(600):  # seed 0 is done at once; seeds 1 and 2 are under way
        if len(list((project / STORE / "trials").glob("*/calls.txt"))) == 3:
            break
        time.sleep(0.1)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert len(results(project)) == 1
    (project / "fast").touch()
    done = run(SLOW, "slow")
    assert (done.finished, done.skipped, done.failed) == (10, 1, [])


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("parameters: {training.n_iteration: 5}", "parameters", "did you mean 'n_iterations'"),
        ("parameters: {training.n_iterations: -5}", "parameters", "'training.n_iterations' is -5"),
        ("grid: {sid.n_level: [2]}", "grid", "unknown parameter 'sid.n_level'"),
        ("grid: {agent.entropy_coef: [0.1]}", "grid", "'sl' has no entropy term"),
    ],
)
def test_parameters_are_checked_before_anything_runs(project, run, text, key, said) -> None:
    with pytest.raises(UserError) as caught:
        run(TEN + text)
    message = str(caught.value)
    assert f"{project}/conf/experiments/mine.yml, key {key}." in message
    assert said in message
    assert not (project / STORE).exists()


def test_a_dataset_that_is_no_environment(run) -> None:
    with pytest.raises(UserError, match=r"no environment 'tset'.*ml100k, synthetic, test"):
        run(TEN.replace("[test]", "[tset]"))


def test_a_grid_that_is_not_there(run, project) -> None:
    (project / "conf" / "experiments" / "table2.yml").write_text(TEN)
    with pytest.raises(UserError, match=r"no grid 'table9'.*Grids: table2"):
        run_grid(project, project / "conf", "table9")


def test_stages_follow_from_the_pipelines() -> None:
    stages = project_stages()
    assert {name: set(stage.reads) for name, stage in stages.items()} == {
        "ingestion": set(),
        "sid_tokenization": {"ingestion"},
        "simulator_training": {"ingestion"},
        "moving_catalogue": {"ingestion", "simulator_training"},
        "trial": {"ingestion", "sid_tokenization", "simulator_training"},
        "moving_trial": {"ingestion", "simulator_training", "moving_catalogue"},
    }
    assert stages["simulator_training"].parameters == {"simulator", "session", "seed"}


@pytest.mark.parametrize("size", SIZES)
def test_the_ready_grids_name_what_exists(size) -> None:
    assert {"table2", "table3", "fig5", "fig6", "moving"} <= set(grid_names(CONF))
    for name in grid_names(CONF):
        path = CONF / "experiments" / f"{name}.yml"
        grid = read_grid(path, size)
        Planner(CONF.parent, CONF, grid).check(path)
        least = 3 if size == "quick" else 5
        # a schedule of its own is as good as a seed of its own: what is said holds over both
        draws = {(trial.seed, trial.parameters.get("catalogue.draw")) for trial in grid.trials}
        assert len(draws) >= least
    assert "experiments" not in environments(CONF)
