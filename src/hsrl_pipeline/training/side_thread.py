"""A second thread for work that can go on beside an update."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import torch
from typing_extensions import Self

from hsrl_pipeline.training.freed_memory import keep_freed_memory


class SideThread:
    """Runs a function beside the caller, or at once where a second thread would not help.

    Small networks gain little from torch's threads within one operation, and much from two
    operations at a time. So while it is open on a CPU, each of both threads gets half of them.
    With a single thread, and on CUDA, where both would feed one stream, functions run at once:
    results are the same.

    Args:
        device: Where the work is done.
    """

    def __init__(self, device: torch.device) -> None:
        self._before = torch.get_num_threads()
        self._on_cpu = device.type == "cpu"
        self._executor: ThreadPoolExecutor | None = None
        self._share = self._before
        if self._on_cpu and self._before > 1:
            self._share = self._before // 2
            self._executor = ThreadPoolExecutor(
                1, "side", initializer=torch.set_num_threads, initargs=(self._share,)
            )

    def __enter__(self) -> Self:
        # set even where nothing changes: kernels are chosen anew, and the last bits depend on it
        torch.set_num_threads(self._share)
        if self._on_cpu:
            keep_freed_memory()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True)
        torch.set_num_threads(self._before)

    def start(self, work: Callable[[], None]) -> Future[None]:
        """Start a function; the future's ``result`` waits for its end and raises its error."""
        if self._executor is not None:
            return self._executor.submit(work)
        work()
        done: Future[None] = Future()
        done.set_result(None)
        return done
