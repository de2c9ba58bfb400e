"""The changes of a catalogue in their order, for several replicas that all have to make them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hsrl_pipeline.serving.catalogue_change import AskedChange, VersionConflict
from hsrl_pipeline.serving.request_errors import RequestError

LEASE = 10.0
"""Seconds without a sign of life after which a replica is not waited for any more."""


@dataclass(frozen=True)
class Outcome:
    """What became of a change on one replica.

    Attributes:
        version: Version that answers there since.
        told: What ``POST /catalogue`` answers; empty where it was refused.
        field: Field at fault; empty where there is none.
        error: Why it was refused; empty where it was not.
        conflict: Whether it was for another version.
    """

    version: str
    told: dict[str, Any] = field(default_factory=dict)
    field: str = ""
    error: str = ""
    conflict: bool = False

    def refuse(self) -> None:
        """Raise what was wrong, if anything was.

        Raises:
            VersionConflict: The change was for another version.
            RequestError: It can't be made; names the field.
        """
        if self.conflict:
            raise VersionConflict(self.error)
        if self.error:
            raise RequestError(self.field, self.error)


@dataclass
class _Member:
    position: int
    seen: float


class ChangeLog:
    """Hands every change to all replicas, and says when all have made it.

    Every replica starts from the same model and makes the same changes in the same order, so all
    come to the same versions, and refuse the same changes. A replica is waited for from the moment
    it joins, which it may when it has made all changes so far. One that gives no sign of life for
    ``lease`` seconds is not waited for any longer; it must have stopped answering by then.

    All methods belong to one event loop.

    Args:
        lease: Seconds that a sign of life holds for.
        clock: Seconds from any start.
    """

    def __init__(self, lease: float = LEASE, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease = lease
        self._clock = clock
        self._entries: list[AskedChange | None] = []
        self._members: dict[str, _Member] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._turn = asyncio.Lock()
        self._changed = asyncio.Condition()

    async def after(self, position: int) -> list[AskedChange | None]:
        """Return the changes after the first so many; None stands for going back."""
        return self._entries[position:]

    async def join(self, replica: str, position: int) -> bool:
        """Count a replica among those that are waited for, if it has made all changes.

        Args:
            replica: Its name.
            position: Changes that it has made.
        """
        if position < len(self._entries):
            return False
        self._members[replica] = _Member(position, self._clock())
        return True

    async def leave(self, replica: str) -> None:
        """Do not wait for a replica any more, which has stopped answering."""
        async with self._changed:
            self._members.pop(replica, None)
            self._changed.notify_all()

    async def alive(self, replica: str) -> bool:
        """Take a sign of life; return whether the replica is still waited for."""
        member = self._members.get(replica)
        if member is not None:
            member.seen = self._clock()
        return member is not None

    async def wait_after(self, position: int, seconds: float) -> list[AskedChange | None]:
        """Return the changes after the first so many, as soon as there are any.

        Args:
            position: Changes that are known.
            seconds: Longest wait; nothing comes back then.
        """
        async with self._changed:
            try:
                await asyncio.wait_for(
                    self._changed.wait_for(lambda: len(self._entries) > position), seconds
                )
            except asyncio.TimeoutError:
                return []
        return self._entries[position:]

    async def made(self, replica: str, position: int, outcome: Outcome) -> None:
        """Take what became of a change on a replica.

        Args:
            replica: Its name.
            position: Changes that it has made with this one.
            outcome: What became of it.
        """
        async with self._changed:
            member = self._members.get(replica)
            if member is not None:
                member.position = position
                if position == len(self._entries):
                    self._outcomes[replica] = outcome
            self._changed.notify_all()

    async def propose(self, change: AskedChange | None) -> dict[str, Outcome]:
        """Put a change at the end, and return what became of it when all replicas have told.

        Args:
            change: The change; None for going back to the version before the last one.

        Returns:
            By replica. Of one that was lost on the way there is nothing.
        """
        async with self._turn:
            async with self._changed:
                self._outcomes = {}
                self._entries.append(change)
                self._changed.notify_all()
            while self._waited_for():
                async with self._changed:
                    try:
                        await asyncio.wait_for(self._changed.wait(), self._lease / 10)
                    except asyncio.TimeoutError:
                        pass
            return dict(self._outcomes)

    def _waited_for(self) -> bool:
        """Forget replicas without a sign of life; return whether one has still to make a change."""
        now = self._clock()
        self._members = {
            name: member
            for name, member in self._members.items()
            if now - member.seen < self._lease
        }
        return any(member.position < len(self._entries) for member in self._members.values())
