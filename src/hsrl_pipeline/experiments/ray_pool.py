"""Jobs on a Ray cluster, or on a Ray of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.experiments.pool import THREAD_VARIABLES, Job, Outcome, one_line

LOCAL = "local"
"""Address of a Ray that is started for the grid, on this machine."""


class RayPool:
    """Tasks of Ray, as many at a time as the cluster has cores.

    All its machines must see the project under the same path, because steps hand their results on
    as files, and must have the project installed.

    Args:
        work: Does a job; a function of a module, called on the cluster.
        address: Of the cluster, for example ``ray://head:10001`` or ``auto``; ``local`` starts one.
        threads: Threads that the numerical libraries of a task may use, and cores that it takes.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, work: Callable[[Any], None], address: str = LOCAL, threads: int = 1) -> None:
        try:
            import ray
        except ImportError:
            raise UserError(
                "Ray is not installed",
                where="--cluster",
                remedy="Install the extra: pip install -e '.[cluster]'",
            ) from None
        self._ray = ray
        variables = dict.fromkeys(THREAD_VARIABLES, str(threads))
        place = {"include_dashboard": False} if address == LOCAL else {"address": address}
        try:
            ray.init(runtime_env={"env_vars": variables}, log_to_driver=False, **place)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UserError(
                f"there is no Ray cluster at '{address}': {one_line(error)}", where="--cluster"
            ) from None
        self._task = ray.remote(num_cpus=threads, max_retries=0)(_answer)
        self._work = work
        self._n_workers = max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)

    @property
    def n_workers(self) -> int:
        """How many jobs run at a time."""
        return self._n_workers

    def outcomes(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Yield the outcome of every job as it ends; jobs start in their order."""
        running = {self._task.remote(self._work, job.content): job for job in jobs}
        while running:
            (done,), _ = self._ray.wait(list(running), num_returns=1)
            job = running.pop(done)
            try:
                error, seconds = self._ray.get(done)
            except self._ray.exceptions.RayError as failure:
                error, seconds = f"its process died ({type(failure).__name__})", 0.0
            yield Outcome(job, error, seconds)

    def close(self) -> None:
        """Stop what still runs."""
        self._ray.shutdown()


def _answer(work: Callable[[Any], None], content: Any) -> tuple[str | None, float]:
    """Do a job on the cluster; return why it failed, or None, and how long it took."""
    started = time.monotonic()
    error = None
    try:
        work(content)
    except SystemExit as stop:
        error = f"it ended itself with {stop.code}"
    except Exception as failure:
        error = one_line(failure)
    return error, time.monotonic() - started
