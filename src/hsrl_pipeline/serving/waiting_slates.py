"""Served slates that wait for what is clicked of them."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Generic, TypeVar

SlateT = TypeVar("SlateT")

SECONDS_FOR_FEEDBACK = 1800.0
MOST_WAITING = 100_000


class WaitingSlates(Generic[SlateT]):
    """Slates by the request that they answered, until their feedback comes; for one thread.

    Args:
        seconds: How long a slate waits.
        most: Slates that wait at most.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._slates: OrderedDict[str, tuple[float, SlateT]] = OrderedDict()

    def keep(self, request_id: str, slate: SlateT) -> None:
        """Let a slate wait."""
        self._slates[request_id] = (time.monotonic(), slate)

    def get(self, request_id: str) -> SlateT | None:
        """Return a slate that goes on waiting; None where none does."""
        found = self._slates.get(request_id)
        return None if found is None else found[1]

    def pop(self, request_id: str) -> SlateT | None:
        """Return a slate that waits no more; None where none did."""
        found = self._slates.pop(request_id, None)
        return None if found is None else found[1]

    def pop_due(self, *, crowded: bool = False) -> SlateT | None:
        """Return the oldest slate if it has waited for too long or too many wait; else None.

        Args:
            crowded: Whether it has to give way in any case.
        """
        if not self._slates:
            return None
        request_id, (since, slate) = next(iter(self._slates.items()))
        late = time.monotonic() - since >= self._seconds
        if not (crowded or late or len(self._slates) > self._most):
            return None
        del self._slates[request_id]
        return slate
