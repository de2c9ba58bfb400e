"""What answers now, and how another version of the catalogue takes its place under load."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hsrl_pipeline.serving.catalogue_change import AskedChange, VersionConflict, follow
from hsrl_pipeline.serving.clicked_slates import ClickedSlate, hand_over, take_in
from hsrl_pipeline.serving.recommender import Recommender
from hsrl_pipeline.serving.request_errors import RequestError

SWAPS_KEPT = 20
SECONDS_TO_DRAIN = 30.0
"""Longest wait for answers of the version before, whose clients may have gone to sleep."""


@dataclass(frozen=True)
class Swap:
    """One change of the catalogue and what became of it.

    Attributes:
        time: Seconds since 1970.
        kind: ``change`` or ``rollback``.
        version_before: Version that answered before.
        version: Version that answers since; that from before where it was refused.
        added: Items that arrived.
        released: Items that left.
        seconds: From the request to the acknowledgement.
        refused: Why nothing changed; empty where it did.
    """

    time: float
    kind: str
    version_before: str
    version: str
    added: int
    released: int
    seconds: float
    refused: str = ""


class Serving:
    """A recommender and how many answers of it are still under way.

    Args:
        recommender: What answers.
    """

    def __init__(self, recommender: Recommender) -> None:
        self.recommender = recommender
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def enter(self) -> None:
        """Count an answer that is begun."""
        self._under_way += 1
        self._idle.clear()

    def leave(self) -> None:
        """Count an answer that was sent."""
        self._under_way -= 1
        if self._under_way == 0:
            self._idle.set()

    async def drained(self) -> None:
        """Wait until all answers that were begun are sent."""
        try:
            await asyncio.wait_for(self._idle.wait(), SECONDS_TO_DRAIN)
        except asyncio.TimeoutError:
            pass


class LiveService:
    """The recommender that answers, the one before it, and the changes so far.

    All methods but ``take_in`` belong to the thread of the event loop. The next recommender is
    built beside the one that answers, and takes its place by one reference. A change is
    acknowledged only when all answers of the version before are sent, so that nobody sees a
    released item from then on. What the policy has taken in of clicks by then goes along.

    Args:
        recommender: What answers first.
        on_swap: Told what became of every change: ``done`` or ``refused``.
    """

    def __init__(self, recommender: Recommender, on_swap: Callable[[str], None]) -> None:
        self._on_swap = on_swap
        self._now = Serving(recommender)
        self._before: Recommender | None = None
        self._changing = asyncio.Lock()
        self._following = threading.Lock()
        self.swaps: deque[Swap] = deque(maxlen=SWAPS_KEPT)

    @property
    def now(self) -> Serving:
        """What answers requests that come now."""
        return self._now

    def take_in(self, slates: Sequence[ClickedSlate]) -> None:
        """Let the policy that answers now take in the clicks on slates; for any thread.

        Args:
            slates: Shown under any version.
        """
        with self._following:
            take_in(self._now.recommender, slates)

    async def change(self, asked: AskedChange) -> Swap:
        """Let the next version of the catalogue answer.

        Args:
            asked: What arrives and what leaves.

        Raises:
            VersionConflict: Another version answers.
            RequestError: The change can't be made; names the field.
        """
        return await self._swap(
            "change",
            len(asked.add) + len(asked.new),
            len(asked.release),
            lambda: follow(self._now.recommender, asked),
        )

    async def roll_back(self) -> Swap:
        """Let the version before the last change answer again; a second time goes forward.

        Raises:
            VersionConflict: There was no change yet.
        """

        def earlier() -> Recommender:
            if self._before is None:
                raise VersionConflict("there is no earlier version: nothing was changed yet")
            return self._before

        return await self._swap("rollback", 0, 0, earlier)

    async def _swap(
        self, kind: str, added: int, released: int, make: Callable[[], Recommender]
    ) -> Swap:
        started = time.monotonic()
        async with self._changing:
            old = self._now
            before = old.recommender.version

            def account(version: str, refused: str = "") -> Swap:
                seconds = time.monotonic() - started
                swap = Swap(time.time(), kind, before, version, added, released, seconds, refused)
                self.swaps.appendleft(swap)
                self._on_swap("refused" if refused else "done")
                return swap

            try:
                recommender = await asyncio.to_thread(make)
            except (RequestError, VersionConflict) as error:
                account(before, str(error))
                raise
            with self._following:  # no clicks come between the last look and the first answer
                hand_over(old.recommender, recommender)
                self._before, self._now = old.recommender, Serving(recommender)
            await old.drained()
            return account(recommender.version)

    def told(self, swap: Swap) -> dict[str, Any]:
        """Return what is answered to a change."""
        return {
            "catalogue_version": swap.version,
            "version_before": swap.version_before,
            "live_items": len(self._now.recommender.catalogue.live_items),
            "seconds": swap.seconds,
        }

    def overview(self) -> dict[str, Any]:
        """Return version, number of live items and the last changes, newest first."""
        recommender = self._now.recommender
        return {
            "catalogue_version": recommender.version,
            "live_items": len(recommender.catalogue.live_items),
            "model": recommender.model.name,
            "can_roll_back": self._before is not None,
            "swaps": [asdict(swap) for swap in self.swaps],
        }
