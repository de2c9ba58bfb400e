"""Independent pieces of work on all cores of the machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TypeVar

import torch

from hsrl_pipeline.progress import Progress

SizedT = TypeVar("SizedT", bound=Sized)


def run_side_by_side(
    work: Sequence[Callable[[], SizedT]], device: torch.device, progress: Progress | None = None
) -> list[SizedT]:
    """Run functions, as many at a time as torch may use threads, and return what they return.

    Each function runs on one thread of torch whatever the number of cores, because the last bits
    of a sum depend on how many threads share it: results are the same on any machine of a kind.
    On CUDA, where all would feed one stream, they run one after the other.

    Args:
        work: Functions that do not depend on each other.
        device: Where they compute.
        progress: Told of the length of every result as it comes.

    Returns:
        The results in the order of the functions.
    """
    if device.type != "cpu":
        return [_told(function(), progress) for function in work]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    executor = ThreadPoolExecutor(
        threads, "rollout", initializer=torch.set_num_threads, initargs=(1,)
    )
    try:
        futures = [executor.submit(function) for function in work]
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                _told(future.result(), progress)
        return [future.result() for future in futures]
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)


def _told(result: SizedT, progress: Progress | None) -> SizedT:
    if progress is not None:
        progress.advance(len(result))
    return result
