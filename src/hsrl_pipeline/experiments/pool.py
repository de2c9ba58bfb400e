"""Jobs on the cores of one machine, each in a process that may die without harming the others."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Protocol

from hsrl_pipeline.errors import user_error_in

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""What numerical libraries read when they are loaded."""

SECONDS_TO_STOP = 5.0
"""How long a process may take to end when it is asked to."""


@dataclass(frozen=True)
class Job:
    """A piece of work.

    Attributes:
        key: Tells it from the others.
        content: What the work function is given; it must survive pickling.
    """

    key: str
    content: Any


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        job: The job.
        error: Why it failed, in one line; None when it did not.
        seconds: How long it took.
    """

    job: Job
    error: str | None
    seconds: float


class Pool(Protocol):
    """Whatever runs jobs; on a cluster it may be something else than processes."""

    @property
    def n_workers(self) -> int:
        """How many jobs run at a time."""
        ...

    def outcomes(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Yield the outcome of every job as it ends."""
        ...

    def close(self) -> None:
        """Stop what still runs."""
        ...


class ProcessPool:
    """Processes of this machine that take one job after the other.

    A process that dies fails its own job and is replaced. All processes end with the one that
    made the pool, however that ends.

    Args:
        work: Does a job; a function of a module, called in a process of the pool.
        n_workers: Processes, at least 1.
        threads: Threads that the numerical libraries of each process may use. Numbers depend on
            it in their last bits, so it should not depend on the machine.
    """

    def __init__(self, work: Callable[[Any], None], n_workers: int, threads: int = 1) -> None:
        self._work = work
        self._threads = threads
        self._n_workers = n_workers
        self._workers: list[_Worker] = []

    @property
    def n_workers(self) -> int:
        """How many jobs run at a time."""
        return self._n_workers

    def outcomes(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Yield the outcome of every job as it ends; jobs start in their order."""
        waiting = deque(jobs)
        while waiting or any(worker.job for worker in self._workers):
            while waiting and (worker := self._free_worker()) is not None:
                worker.give(waiting.popleft())
            busy = {worker.connection: worker for worker in self._workers if worker.job}
            for connection in wait(list(busy)):
                yield self._outcome_of(busy[connection])  # type: ignore[index]

    def close(self) -> None:
        """End all processes, also those at work."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()

    def _free_worker(self) -> _Worker | None:
        free = next((worker for worker in self._workers if worker.job is None), None)
        if free is None and len(self._workers) < self._n_workers:
            free = _Worker(self._work, self._threads)
            self._workers.append(free)
        return free

    def _outcome_of(self, worker: _Worker) -> Outcome:
        job, seconds = worker.job, time.monotonic() - worker.since
        assert job is not None
        try:
            error = worker.connection.recv()
        except (EOFError, OSError):
            self._workers.remove(worker)
            worker.process.join(SECONDS_TO_STOP)
            error = f"its process died ({_cause_of_death(worker.process.exitcode)})"
        worker.job = None
        return Outcome(job, error, seconds)


class _Worker:
    """One process, and the job it is at."""

    def __init__(self, work: Callable[[Any], None], threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, others = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=_serve, args=(others, work), daemon=True
        )
        with _thread_variables(threads):
            self.process.start()
        others.close()
        self.job: Job | None = None
        self.since = 0.0

    def give(self, job: Job) -> None:
        self.job, self.since = job, time.monotonic()
        try:
            self.connection.send(job.content)
        except OSError:
            pass  # it died; reading its answer tells

    def stop(self) -> None:
        self.process.terminate()
        self.process.join(SECONDS_TO_STOP)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(SECONDS_TO_STOP)
        self.connection.close()


def one_line(error: BaseException) -> str:
    """Return what an exception says, in one line: the user's message, or its kind and text."""
    cause = user_error_in(error)
    text = str(cause) if cause is not None else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def _serve(connection: Connection, work: Callable[[Any], None]) -> None:
    """Do jobs until the pool is closed, and end at once when its process is gone."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    while True:
        try:
            content = connection.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            work(content)
            answer = None
        except KeyboardInterrupt:
            return
        except SystemExit as error:
            answer = f"it ended itself with {error.code}"
        except Exception as error:
            answer = one_line(error)
        connection.send(answer)


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _thread_variables(threads: int) -> Iterator[None]:
    """Set what a process that is started here reads of threads."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _cause_of_death(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {-code}" + (", often too little memory" if code == -9 else "")
    return f"exit code {code}"
