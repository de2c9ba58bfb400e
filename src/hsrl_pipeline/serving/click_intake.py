"""From the feedback to served slates to a policy that follows clicks while it serves."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from hsrl_pipeline.serving.batching import Batcher
from hsrl_pipeline.serving.clicked_slates import ClickedSlate, ShownSlate
from hsrl_pipeline.serving.live_service import LiveService
from hsrl_pipeline.serving.waiting_slates import (
    MOST_WAITING,
    SECONDS_FOR_FEEDBACK,
    WaitingSlates,
)

logger = logging.getLogger(__name__)

SECONDS_TO_GATHER = 0.1
"""What comes in meanwhile is taken in together, so that feedback takes little from answers."""

MOST_TOGETHER = 64
"""Slates that are taken in between two batches of answers at most."""


@dataclass(frozen=True)
class Room:
    """How much may wait.

    Attributes:
        seconds: How long a slate waits for its feedback.
        slates: Slates that wait for feedback at most; the oldest give way.
        ids: Ids of items in them at most; the oldest give way.
        clicked: Slates with feedback that wait to be taken in at most; later ones are passed over.
    """

    seconds: float = SECONDS_FOR_FEEDBACK
    slates: int = MOST_WAITING
    ids: int = 5_000_000
    clicked: int = 10_000


class ClickIntake:
    """Keeps served slates until their feedback comes, and lets the policy take them in.

    A slate without feedback says nothing. All methods belong to the thread of the event loop; the
    policy takes slates in on the thread that answers, between two batches of answers.

    Args:
        service: Whose policy takes the slates in: the one that answers at that time.
        batcher: On whose thread.
        on_slates: Told how many slates were ``taken_in``, ``passed_over`` for lack of room, or
            ``failed``.
        room: How much may wait.
    """

    def __init__(
        self,
        service: LiveService,
        batcher: Batcher,
        on_slates: Callable[[str, int], None],
        room: Room | None = None,
    ) -> None:
        self._service = service
        self._batcher = batcher
        self._on_slates = on_slates
        self._room = room or Room()
        self._waiting = WaitingSlates[ShownSlate](self._room.seconds, self._room.slates)
        self._n_ids = 0
        self._clicked: deque[ClickedSlate] = deque()
        self._task: asyncio.Task[None] | None = None

    def served(self, request_id: str, slate: ShownSlate) -> None:
        """Keep a slate until its feedback comes."""
        self._waiting.keep(request_id, slate)
        self._n_ids += _n_ids(slate)
        while True:
            gone = self._waiting.pop_due(crowded=self._n_ids > self._room.ids)
            if gone is None:
                break
            self._n_ids -= _n_ids(gone)

    def items_of(self, request_id: str) -> list[str] | None:
        """Return the items of a slate that waits for feedback; None where none does."""
        found = self._waiting.get(request_id)
        return None if found is None else list(found.items)

    def clicked(self, request_id: str, clicks: Collection[str]) -> bool:
        """Take in the feedback to a slate soon; return whether the slate was known.

        Args:
            request_id: Names the slate.
            clicks: Ids of the clicked items; none is an answer too.
        """
        slate = self._waiting.pop(request_id)
        if slate is None:
            return False
        self._n_ids -= _n_ids(slate)
        if len(self._clicked) >= self._room.clicked:
            self._on_slates("passed_over", 1)
            return True
        self._clicked.append(ClickedSlate(slate, frozenset(clicks)))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return True

    async def stop(self) -> None:
        """Take nothing in any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while self._clicked:
            await asyncio.sleep(SECONDS_TO_GATHER)
            while self._clicked:
                n_slates = min(len(self._clicked), MOST_TOGETHER)
                slates = [self._clicked.popleft() for _ in range(n_slates)]
                try:
                    await self._batcher.between(partial(self._service.take_in, slates))
                except Exception:
                    logger.exception("The policy can't take in the clicks on %d slates", n_slates)
                    self._on_slates("failed", n_slates)
                else:
                    self._on_slates("taken_in", n_slates)


def _n_ids(slate: ShownSlate) -> int:
    return len(slate.items) + len(slate.history)
