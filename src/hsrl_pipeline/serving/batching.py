"""Requests that wait at the same time are answered in one forward pass."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hsrl_pipeline.serving.recommender import Recommendation, Recommender
from hsrl_pipeline.serving.requests import ReadRequest

MOST_TOGETHER = 64
"""Requests of one forward pass at most."""

Waiting = tuple[Recommender, ReadRequest, "asyncio.Future[Recommendation]"]


class Batcher:
    """Answers requests on a thread of its own, all that wait for the same recommender at once.

    Nobody waits for others to come: a lone request is answered at once, and what arrives
    meanwhile makes the next batch.

    Args:
        on_batch: Told the size of every batch.
    """

    def __init__(self, on_batch: Callable[[int], None]) -> None:
        self._on_batch = on_batch
        self._waiting: deque[Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recommend")
        self._task: asyncio.Task[None] | None = None

    async def answer(self, recommender: Recommender, request: ReadRequest) -> Recommendation:
        """Return the answer of a recommender to a request."""
        future: asyncio.Future[Recommendation] = asyncio.get_running_loop().create_future()
        self._waiting.append((recommender, request, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await future

    async def between(self, work: Callable[[], None]) -> None:
        """Do something on the thread that answers, after the batch that is answered now."""
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = self._next_batch()
            self._on_batch(len(batch))
            try:
                answers = await loop.run_in_executor(
                    self._thread, batch[0][0].answer, [request for _, request, _ in batch]
                )
            except Exception as error:  # every request of the batch is told
                for _, _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, _, future), answer in zip(batch, answers, strict=True):
                if not future.done():  # its client may have gone
                    future.set_result(answer)

    def _next_batch(self) -> list[Waiting]:
        batch = [self._waiting.popleft()]
        while self._waiting and len(batch) < MOST_TOGETHER and self._waiting[0][0] is batch[0][0]:
            batch.append(self._waiting.popleft())
        return batch
