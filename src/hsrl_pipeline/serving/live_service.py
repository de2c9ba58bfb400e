"""What answers now, and how another version of the catalogue takes its place under load."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.catalogue.changes import CatalogueChange, apply_change
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.serving.recommender import Recommender
from hsrl_pipeline.serving.request_errors import RequestError
from hsrl_pipeline.serving.requests import OwnId, own_id

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


class VersionConflict(Exception):
    """A change was made for another version of the catalogue, or there is none to go back to."""


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

    All methods belong to the thread of the event loop. The next recommender is built beside the
    one that answers, and takes its place by one reference. A change is acknowledged only when all
    answers of the version before are sent, so that nobody sees a released item from then on.

    Args:
        recommender: What answers first.
        on_swap: Told what became of every change: ``done`` or ``refused``.
    """

    def __init__(self, recommender: Recommender, on_swap: Callable[[str], None]) -> None:
        self._on_swap = on_swap
        self._now = Serving(recommender)
        self._before: Recommender | None = None
        self._changing = asyncio.Lock()
        self.swaps: deque[Swap] = deque(maxlen=SWAPS_KEPT)

    @property
    def now(self) -> Serving:
        """What answers requests that come now."""
        return self._now

    async def change(
        self, version_before: str, add: Sequence[OwnId], release: Sequence[OwnId]
    ) -> Swap:
        """Let the next version of the catalogue answer.

        Args:
            version_before: Version that the change is for.
            add: The user's own ids of items that arrive or return.
            release: Those of items that leave.

        Raises:
            VersionConflict: Another version answers.
            RequestError: An id can't be added or released, or too few items would be left.
        """
        return await self._swap(
            "change", len(add), len(release), lambda: self._next(version_before, add, release)
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
            self._before, self._now = old.recommender, Serving(recommender)
            await old.drained()
            return account(recommender.version)

    def _next(
        self, version_before: str, add: Sequence[OwnId], release: Sequence[OwnId]
    ) -> Recommender:
        recommender = self._now.recommender
        model, catalogue = recommender.model, recommender.catalogue
        if version_before != catalogue.version:
            raise VersionConflict(
                f"the change is for version {version_before[:100]}, {catalogue.version} answers"
            )
        added = self._items("add", add, live=False)
        released = self._items("release", release, live=True)
        new = added[~catalogue.published[added]]
        publication = None
        if len(new):
            known = np.zeros(0, np.int64) if model.arrivals is None else model.arrivals.items
            missing = new[~np.isin(new, known)]
            if len(missing):
                raise RequestError(
                    "add",
                    f"item {model.item_ids[missing[0]]!r} has no vector and semantic ID yet",
                )
            assert model.arrivals is not None
            publication = model.arrivals.select(new)
        try:
            following = apply_change(
                catalogue,
                CatalogueChange(version_before, added, released),
                publication,
                n_needed=recommender.slate_size // recommender.n_shelves,
                shelves=model.shelves,
            )
        except UserError as error:
            raise RequestError("release" if len(released) else "add", str(error)) from error
        ready = recommender.under(following)
        ready.warm_up(batches=(1,))
        return ready

    def _items(self, field: str, ids: Sequence[OwnId], *, live: bool) -> NDArray[np.int64]:
        """Return the indices of items that are live, or are not."""
        model, catalogue = self._now.recommender.model, self._now.recommender.catalogue
        items: list[int] = []
        seen: set[int] = set()
        for place, value in enumerate(ids):
            text = own_id(f"{field}.{place}", value)
            item = model.item_index.get(text)
            if item is None:
                raise RequestError(f"{field}.{place}", f"there is no item {text[:100]!r}")
            if bool(catalogue.live[item]) != live:
                state = "not live" if live else "live already"
                raise RequestError(f"{field}.{place}", f"item {text!r} is {state}")
            if item in seen:
                raise RequestError(f"{field}.{place}", f"item {text!r} is named twice")
            items.append(item)
            seen.add(item)
        return np.array(items, dtype=np.int64)

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
