import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hsrl_pipeline.tracking import metric_stream as metric_stream_module
from hsrl_pipeline.tracking.metric_stream import MetricStream, MetricStreamDataset
from hsrl_pipeline.tracking.processes import mark_killed_runs
from hsrl_pipeline.tracking.run import TrackedRun, active_run, set_active_run
from hsrl_pipeline.tracking.store import open_client, tracking_uri

START_RUN = """
import os, sys
from pathlib import Path
from hsrl_pipeline.tracking.run import TrackedRun
run = TrackedRun(Path(sys.argv[1]), "hsrl/test", sys.argv[2], {})
print(run.run_id, flush=True)
if sys.argv[2] == "killed":
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, with_store) -> Path:
    return with_store(tmp_path_factory.mktemp("project"))


@pytest.fixture
def run(project: Path) -> Iterator[TrackedRun]:
    tracked = TrackedRun(project, "hsrl/test", "hsrl-seed0", {"dataset": "test"})
    yield tracked
    tracked.end("FINISHED")


def test_store_is_absolute_and_can_be_named_by_the_environment(project, monkeypatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(project)
    assert tracking_uri(Path()) == f"sqlite:///{project.resolve()}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///elsewhere")
    assert tracking_uri(Path()) == "file:///elsewhere"


def test_run_keeps_name_tags_params_metrics_and_artifacts(project, run, tmp_path) -> None:
    run.log_params({f"p{i}": i for i in range(150)})
    run.log_metrics({"total_reward": 1.5})
    run.set_tag("codebook_version", "abc")
    (tmp_path / "codebook.bin").write_text("codes")
    run.log_artifact(tmp_path / "codebook.bin")
    client = open_client(project)
    stored = client.get_run(run.run_id)
    assert stored.info.run_name == "hsrl-seed0"
    assert stored.info.status == "RUNNING"
    assert stored.data.tags["dataset"] == "test"
    assert stored.data.tags["codebook_version"] == "abc"
    assert len(stored.data.params) == 150
    assert stored.data.metrics == {"total_reward": 1.5}
    assert [file.path for file in client.list_artifacts(run.run_id)] == ["codebook.bin"]
    assert (project / "mlartifacts" / "hsrl" / "test" / run.run_id).is_dir()


def test_only_the_first_end_counts(project, run) -> None:
    run.end("FAILED")
    run.end("FINISHED")
    assert open_client(project).get_run(run.run_id).info.status == "FAILED"


@pytest.mark.parametrize("name", ["ended", "killed"])
def test_a_process_that_ends_early_leaves_a_killed_run(project: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START_RUN, str(project), name],
        capture_output=True,
        text=True,
        check=False,
    )
    run_id = done.stdout.split()[-1]
    client = open_client(project)
    if name == "killed":
        assert client.get_run(run_id).info.status == "RUNNING"
        assert mark_killed_runs(client) == [run_id]
    assert client.get_run(run_id).info.status == "KILLED"


def test_running_processes_are_not_marked(project, run) -> None:
    assert mark_killed_runs(open_client(project)) == []


def test_stream_is_buffered_and_written_while_training_goes_on(project, run, monkeypatch) -> None:
    client = open_client(project)
    stream = MetricStream(run)
    stream(1, {"train_reward": 0.5})
    assert client.get_metric_history(run.run_id, "train_reward") == []
    monkeypatch.setattr(metric_stream_module, "SECONDS_BETWEEN_WRITES", 0.0)
    stream(2, {"train_reward": 0.75})
    assert run.wait()
    history = client.get_metric_history(run.run_id, "train_reward")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.75)]


def test_stream_dataset_follows_the_active_run_and_flushes_when_released(project, run) -> None:
    set_active_run(run)
    try:
        dataset = MetricStreamDataset()
        dataset.load()(3, {"depth": 7.0})
        dataset.release()
    finally:
        set_active_run(None)
    history = open_client(project).get_metric_history(run.run_id, "depth")
    assert [point.value for point in history] == [7.0]


def test_a_stream_may_keep_its_figures_apart_from_others_of_their_names(project, run) -> None:
    set_active_run(run)
    try:
        dataset = MetricStreamDataset(prefix="training.", without_prefix=["train_reward"])
        dataset.load()(3, {"coverage": 9.0, "train_reward": 2.0})
        dataset.release()
    finally:
        set_active_run(None)
    metrics = open_client(project).get_run(run.run_id).data.metrics
    assert {name: metrics[name] for name in ("training.coverage", "train_reward")} == {
        "training.coverage": 9.0,
        "train_reward": 2.0,
    }


def test_without_a_run_figures_are_dropped() -> None:
    assert active_run() is None
    stream = MetricStreamDataset().load()
    stream(1, {"x": 1.0})
    stream.flush()


def test_two_first_runs_at_once_share_one_store(tmp_path: Path) -> None:
    start = (
        "import sys; from pathlib import Path; from hsrl_pipeline.tracking.run import TrackedRun;"
        "TrackedRun(Path(sys.argv[1]), 'hsrl/toy', 'first', {}).end('FINISHED')"
    )
    command = [sys.executable, "-c", start, str(tmp_path)]
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for run in runs:
        _, messages = run.communicate(timeout=120)
        assert run.returncode == 0, messages
    client = open_client(tmp_path)
    experiment = client.get_experiment_by_name("hsrl/toy")
    assert len(client.search_runs([experiment.experiment_id])) == 2
