"""Jobs on a local Ray, where the extra is installed."""

from __future__ import annotations

import importlib.util

import pytest

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.experiments.pool import Job
from hsrl_pipeline.experiments.ray_pool import RayPool

INSTALLED = importlib.util.find_spec("ray") is not None


def work(content: tuple[str, str]) -> None:
    import os
    import signal
    from pathlib import Path

    from hsrl_pipeline.errors import UserError

    kind, folder = content
    if kind == "refuse":
        raise UserError("it is\nwrong", where="there")
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "exit":
        raise SystemExit(3)
    (Path(folder) / kind).write_text(os.environ["OMP_NUM_THREADS"])


@pytest.mark.skipif(not INSTALLED, reason="the extra [cluster] is not installed")
def test_outcomes_are_those_of_a_process_pool(tmp_path) -> None:
    import sys

    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    pool = RayPool(work)
    try:
        kinds = ["good", "refuse", "die", "exit"]
        jobs = [Job(kind, (kind, str(tmp_path))) for kind in kinds]
        found = {outcome.job.key: outcome.error for outcome in pool.outcomes(jobs)}
    finally:
        pool.close()
    assert found == {
        "good": None,
        "refuse": "it is wrong (there).",
        "die": "its process died (WorkerCrashedError)",
        "exit": "it ended itself with 3",
    }
    assert (tmp_path / "good").read_text() == "1"


@pytest.mark.skipif(INSTALLED, reason="Ray is installed")
def test_without_the_extra_it_says_what_to_install() -> None:
    with pytest.raises(UserError, match=r"Ray is not installed.*\.\[cluster\]"):
        RayPool(work)
