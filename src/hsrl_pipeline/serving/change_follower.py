"""One replica's part in changes that all replicas make."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from hsrl_pipeline.serving.catalogue_change import AskedChange, VersionConflict
from hsrl_pipeline.serving.change_log import LEASE, Outcome
from hsrl_pipeline.serving.live_service import LiveService
from hsrl_pipeline.serving.request_errors import RequestError

logger = logging.getLogger(__name__)

STOP_ANSWERING, SIGNS_PER_LEASE = 0.6, 5
"""Share of a lease after which a replica that can't reach the log answers no more, and signs of
life per lease."""


class ReplicaLost(Exception):
    """This replica does not make the changes that others make, and must not answer."""


class Log(Protocol):
    """A ``ChangeLog``, in this process or elsewhere."""

    async def after(self, position: int) -> list[AskedChange | None]:
        """See ``ChangeLog``."""
        ...

    async def join(self, replica: str, position: int) -> bool:
        """See ``ChangeLog``."""
        ...

    async def leave(self, replica: str) -> None:
        """See ``ChangeLog``."""
        ...

    async def alive(self, replica: str) -> bool:
        """See ``ChangeLog``."""
        ...

    async def wait_after(self, position: int, seconds: float) -> list[AskedChange | None]:
        """See ``ChangeLog``."""
        ...

    async def made(self, replica: str, position: int, outcome: Outcome) -> None:
        """See ``ChangeLog``."""
        ...

    async def propose(self, change: AskedChange | None) -> dict[str, Outcome]:
        """See ``ChangeLog``."""
        ...


class ChangeFollower:
    """Makes the changes of a log on one replica, and puts those asked for here into the log.

    A replica that can't reach the log, or fails at a change, answers no more before the log stops
    waiting for it. So what was acknowledged holds for every answer.

    Args:
        log: The log of all replicas.
        name: Name of this replica.
        lease: Seconds that a sign of life holds for, as in the log.
        clock: Seconds from any start.
    """

    def __init__(
        self,
        log: Log,
        name: str,
        lease: float = LEASE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._name = name
        self._lease = lease
        self._clock = clock
        self._position = 0
        self._seen = -float("inf")
        self._failed = False
        self._tasks: list[asyncio.Task[None]] = []
        self._service: LiveService | None = None

    def refuse_lost(self) -> None:
        """Refuse to answer where this replica may not make the changes that the others make.

        Raises:
            ReplicaLost: It failed at one, or has not reached the log for too long.
        """
        if self._failed or self._clock() - self._seen >= STOP_ANSWERING * self._lease:
            raise ReplicaLost("this replica has lost touch with the others; ask again")

    def check(self) -> None:
        """Refuse to go on after a change that failed here.

        Raises:
            RuntimeError: It did; the replica has to be made anew.
        """
        if self._failed:
            raise RuntimeError(f"replica {self._name} has lost the changes of the catalogue")

    async def start(self, service: LiveService) -> None:
        """Make all changes so far, and join those that are waited for."""
        self._service = service
        while True:
            for change in await self._log.after(self._position):
                await self._make(change)
            asked = self._clock()
            if await self._log.join(self._name, self._position):
                self._seen = asked
                break
        self._tasks = [
            asyncio.create_task(self._guard(work)) for work in (self._give_signs, self._follow)
        ]

    async def stop(self) -> None:
        """Leave; this replica answers no more."""
        self._failed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._log.leave(self._name)

    async def change(self, asked: AskedChange) -> dict[str, Any]:
        """Let all replicas make a change; return when none shows a released item any more."""
        return await self._propose(asked)

    async def roll_back(self) -> dict[str, Any]:
        """Let all replicas go back to the version before the last change."""
        return await self._propose(None)

    async def _propose(self, change: AskedChange | None) -> dict[str, Any]:
        outcomes = await self._log.propose(change)
        own = outcomes.get(self._name)
        if own is None:
            raise ReplicaLost("this replica was lost while the catalogue changed; look at it again")
        own.refuse()
        return own.told

    async def _make(self, change: AskedChange | None) -> Outcome:
        """Make one change here."""
        assert self._service is not None
        service = self._service
        try:
            swap = await (service.roll_back() if change is None else service.change(change))
        except VersionConflict as error:
            version = service.now.recommender.version
            outcome = Outcome(version, error=str(error), conflict=True)
        except RequestError as error:
            version = service.now.recommender.version
            outcome = Outcome(version, field=error.field, error=error.what)
        else:
            outcome = Outcome(swap.version, service.told(swap))
        self._position += 1
        return outcome

    async def _follow(self) -> None:
        while True:
            for change in await self._log.wait_after(self._position, self._lease):
                outcome = await self._make(change)
                await self._log.made(self._name, self._position, outcome)

    async def _give_signs(self) -> None:
        while not self._failed:
            asked = self._clock()
            if not await self._log.alive(self._name):
                raise RuntimeError("the log waits for this replica no more")
            self._seen = asked
            await asyncio.sleep(self._lease / SIGNS_PER_LEASE)

    async def _guard(self, work: Callable[[], Any]) -> None:
        try:
            await work()
        except Exception:
            logger.exception("Replica %s answers no more", self._name)
            self._failed = True
