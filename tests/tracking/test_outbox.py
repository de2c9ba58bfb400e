"""A store that goes away: the run goes on, its figures are kept and arrive later."""

import json
import logging
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.tracking import outbox, store
from hsrl_pipeline.tracking.metric_stream import MetricStream
from hsrl_pipeline.tracking.outbox import Outbox, kept_folder, send_kept_runs
from hsrl_pipeline.tracking.run import TrackedRun
from hsrl_pipeline.tracking.store import open_client, tracking_uri


class Store:
    """A client whose store can be switched off."""

    def __init__(self) -> None:
        self.away = False
        self.tags: dict[str, str] = {}
        self.points: list[int] = []
        self.files: dict[str, str] = {}

    def _answer(self) -> None:
        if self.away:
            raise ConnectionError("connection refused")

    def set_tag(self, run_id: str, name: str, value: str) -> None:
        self._answer()
        self.tags[name] = value

    def log_batch(self, run_id: str, metrics) -> None:
        self._answer()
        self.points += [metric.step for metric in metrics]

    def log_artifact(self, run_id: str, path: str) -> None:
        self._answer()
        self.files[Path(path).name] = Path(path).read_text()


def _points(step: int) -> dict:
    return {"kind": "metrics", "values": [["x", 1.0, 0, step]]}


def test_entries_are_kept_while_the_store_is_away_and_sent_when_it_answers(
    tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(outbox, "SECONDS_BETWEEN_TRIES", 0.05)
    client = Store()
    box = Outbox(client, tmp_path, "run1")
    box.put(_points(1))
    assert box.wait(60)
    client.away = True
    for step in (2, 3):
        box.put(_points(step))
    (tmp_path / "policy.json").write_text("version of this run")
    box.put({"kind": "artifact", "path": str(tmp_path / "policy.json")})
    assert not box.wait(60)
    (tmp_path / "policy.json").write_text("overwritten by another run")
    assert client.points == [1]
    client.away = False
    deadline = time.monotonic() + 60
    while not box.wait(1) and time.monotonic() < deadline:
        pass
    assert client.points == [1, 2, 3]
    assert client.files == {"policy.json": "version of this run"}
    assert not (kept_folder(tmp_path) / "run1").exists()
    assert len([m for m in caplog.messages if "does not answer" in m]) == 1


def test_what_a_process_could_not_send_goes_with_the_next_run(tmp_path, caplog) -> None:
    client = Store()
    client.away = True
    box = Outbox(client, tmp_path, "run1")
    box.put({"kind": "tag", "name": "a", "value": "b"})
    box.close(60)
    assert "kept in" in caplog.messages[-1]
    (file,) = kept_folder(tmp_path).glob("run1/*.jsonl")
    client.away = False
    assert send_kept_runs(client, tmp_path) == 0, "its process is alive and sends it itself"
    header, *entries = file.read_text().splitlines()
    gone = {**json.loads(header), "process": f"{store.socket.gethostname()}:1:0"}
    file.write_text("\n".join([json.dumps(gone), *entries, '{"kind": "ta']))
    assert send_kept_runs(client, tmp_path) == 1
    assert client.tags == {"a": "b"}
    assert not (kept_folder(tmp_path) / "run1").exists()


def test_a_locked_database_does_not_hold_up_the_loop(with_store, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = TrackedRun(with_store(tmp_path), "hsrl/test", "a", {})
    stream = MetricStream(run)
    lock = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    lock.execute("begin exclusive")
    started = time.monotonic()
    for step in range(5000):
        stream(step, {"x": float(step)})
    assert time.monotonic() - started < 2
    lock.execute("rollback")
    stream.flush()
    run.end("FINISHED")
    history = open_client(tmp_path).get_metric_history(run.run_id, "x")
    assert sorted(point.step for point in history) == list(range(5000))


@pytest.mark.parametrize("locked", [True, False])
def test_a_store_that_is_away_at_the_start_is_one_message(tmp_path, monkeypatch, locked) -> None:
    monkeypatch.setattr(store, "SECONDS_TO_ANSWER", 0.2)
    uri = f"sqlite:///{tmp_path}/runs.db" if locked else "http://127.0.0.1:9"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    lock = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
    lock.execute("create table made_by_an_earlier_run (id integer)")
    lock.execute("begin exclusive")
    started = time.monotonic()
    with pytest.raises(UserError, match=r"store of runs can't be used.*MLFLOW_TRACKING_URI"):
        TrackedRun(tmp_path, "hsrl/test", "a", {})
    assert time.monotonic() - started < 15
    lock.close()


def test_a_store_torn_in_the_making_is_made_anew(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").touch()
    torn = sqlite3.connect(tmp_path / "mlflow.db.unfinished")
    torn.execute("create table datasets (id integer)")
    torn.commit()
    torn.close()
    TrackedRun(tmp_path, "hsrl/toy", "a", {}).end("FINISHED")
    assert not (tmp_path / "mlflow.db.unfinished").exists()


@pytest.mark.parametrize("name", ["copy%20x", "q?mark", "a#b c", "[brackets]"])
def test_odd_folders_hold_their_own_store_and_artifacts(tmp_path, monkeypatch, name) -> None:
    from sqlalchemy.engine import make_url

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert make_url(tracking_uri(tmp_path / name)).database == str(tmp_path / name / "mlflow.db")


def test_artifacts_follow_a_copied_project_and_stay_readable(
    with_store, tmp_path, monkeypatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    original, copy = tmp_path / "original", tmp_path / "co%20py?"
    original.mkdir()
    (tmp_path / "note.txt").write_text("x")
    first = TrackedRun(with_store(original), "hsrl/toy", "a", {})
    first.log_artifact(tmp_path / "note.txt")
    first.end("FINISHED")
    shutil.copytree(original, copy)
    shutil.rmtree(original)
    second = TrackedRun(copy, "hsrl/toy", "b", {})
    second.log_artifact(tmp_path / "note.txt")
    second.end("FINISHED")
    assert not original.exists()
    folders = {path.name for path in (copy / "mlartifacts" / "hsrl" / "toy").iterdir()}
    assert folders == {first.run_id, second.run_id}
    client = open_client(copy)
    for run in (first, second):
        assert [file.path for file in client.list_artifacts(run.run_id)] == ["note.txt"]


def test_a_second_run_of_one_name_is_kept_and_warned_of(
    with_store, tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    first = TrackedRun(with_store(tmp_path), "hsrl/toy", "hsrl-seed0", {})
    with caplog.at_level(logging.WARNING):
        second = TrackedRun(tmp_path, "hsrl/toy", "hsrl-seed0", {})
        assert "A run named hsrl-seed0 is under way already" in caplog.text
    assert first.run_id != second.run_id
    first.end("FINISHED")
    second.end("FINISHED")


def test_a_store_elsewhere_leaves_no_lock_in_the_project(tmp_path, monkeypatch) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere}/runs.db")
    run = TrackedRun(project, "hsrl/toy", "a", {})
    run.log_artifact(Path(__file__))
    run.end("FINISHED")
    assert list(project.iterdir()) == []
    assert (elsewhere / "mlartifacts" / "hsrl" / "toy" / run.run_id).is_dir()
