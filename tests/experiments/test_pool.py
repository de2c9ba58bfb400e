"""Jobs in processes that may fail, die or be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hsrl_pipeline.experiments.pool import Job, ProcessPool

WORK = """
import os, signal, time
from pathlib import Path
from hsrl_pipeline.errors import UserError

def work(content):
    kind, folder = content[0], Path(content[1])
    if kind == "refuse":
        raise UserError("it is\\nwrong", where="there")
    if kind == "fail":
        raise ValueError("no")
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "exit":
        raise SystemExit(3)
    if kind == "threads":
        (folder / "threads").write_text(os.environ["OMP_NUM_THREADS"])
    if kind == "sleep":
        (folder / f"pid{os.getpid()}").touch()
        time.sleep(60)
    (folder / f"done-{kind}").touch()
"""

PARENT = """
import sys
from hsrl_pipeline.experiments.pool import Job, ProcessPool
from pooled_work import work
if __name__ == "__main__":
    list(ProcessPool(work, 1).outcomes([Job("a", ("sleep", sys.argv[1]))]))
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "pooled_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    import pooled_work

    yield pooled_work.work
    del sys.modules["pooled_work"]


def test_each_outcome_is_that_of_its_job(tmp_path, work) -> None:
    kinds = ["good", "refuse", "fail", "die", "exit", "threads"]
    pool = ProcessPool(work, 2, threads=3)
    try:
        jobs = [Job(kind, (kind, str(tmp_path))) for kind in kinds]
        found = {outcome.job.key: outcome.error for outcome in pool.outcomes(jobs)}
    finally:
        pool.close()
    assert found == {
        "good": None,
        "refuse": "it is wrong (there).",
        "fail": "ValueError: no",
        "die": "its process died (signal 9, often too little memory)",
        "exit": "it ended itself with 3",
        "threads": None,
    }
    assert (tmp_path / "threads").read_text() == "3"
    assert (tmp_path / "done-good").exists()


def test_no_job_is_no_process(work) -> None:
    pool = ProcessPool(work, 2)
    assert list(pool.outcomes([])) == []


def test_processes_end_with_the_one_that_made_them(tmp_path, work) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [tmp_path, *sys.path]))},
    )
    pid = int(_wait_for(tmp_path).name.removeprefix("pid"))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.1)
    pytest.fail("the process outlived its parent")


def _wait_for(folder: Path) -> Path:
    for _ in range(600):
        found = next(folder.glob("pid*"), None)
        if found is not None:
            return found
        time.sleep(0.1)
    raise AssertionError("the job has not started")
