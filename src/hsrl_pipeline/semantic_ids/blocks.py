"""Row blocks in parallel threads, with results that do not depend on how many threads there are.

Every block is computed by one thread with single-threaded BLAS, block borders depend on the data
alone, and sums are taken over blocks in order: the same bits come out on any number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")

BLOCK_ROWS = 1024
"""Rows per matrix product: block, centroids and distances stay in the cache of one core."""

TASK_ROWS = 8 * BLOCK_ROWS
"""Rows that one thread takes at a time."""


def count_threads() -> int:
    """Return ``OMP_NUM_THREADS`` if set, else the number of cores this process may use."""
    from joblib import cpu_count

    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(asked) if asked.isdigit() and int(asked) > 0 else int(cpu_count())


@contextmanager
def single_threaded_libraries() -> Iterator[None]:
    """Keep BLAS and OpenMP at one thread, whose order of additions is always the same."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def map_row_ranges(
    task: Callable[[int, int], Result], n_rows: int, n_threads: int | None = None
) -> list[Result]:
    """Apply ``task`` to consecutive row ranges in parallel.

    Args:
        task: Called with the first row and the end, exclusive; it must release the GIL to profit.
        n_rows: Number of rows.
        n_threads: Threads; ``None`` for `count_threads`.

    Returns:
        The results in row order.
    """
    starts = range(0, n_rows, TASK_ROWS)
    ranges = [(start, min(start + TASK_ROWS, n_rows)) for start in starts]
    with single_threaded_libraries():
        if len(ranges) < 2:
            return [task(*rows) for rows in ranges]
        with ThreadPoolExecutor(n_threads or count_threads()) as threads:
            return list(threads.map(lambda rows: task(*rows), ranges))
