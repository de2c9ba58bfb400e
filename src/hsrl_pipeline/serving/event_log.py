"""What was shown and clicked, as files that the ``tabular`` source ingests."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsrl_pipeline.atomic import staged_path
from hsrl_pipeline.serving.waiting_slates import (
    MOST_WAITING,
    SECONDS_FOR_FEEDBACK,
    WaitingSlates,
)

ROWS_PER_FILE = 10_000
SECONDS_PER_FILE = 60.0

LEAST_PROPENSITY = 1e-30
"""Ingestion reads propensities above 0; a chance below this one is written as it."""


@dataclass(frozen=True)
class ServedSlate:
    """One answered request.

    Attributes:
        request_id: Names the slate, in the answer and in feedback.
        user_id: Who was served, if the request told; else the request itself.
        time: Milliseconds since 1970.
        items: The user's own ids in the order shown.
        log_probs: Log-probability of each place given those before; 0 without chance.
        catalogue_version: Version that answered.
        model: Name of the model.
    """

    request_id: str
    user_id: str
    time: int
    items: list[str]
    log_probs: list[float]
    catalogue_version: str
    model: str


class EventLog:
    """Keeps served slates until their feedback is in, and writes them as events.

    A slate is written with its clicks when feedback comes, and without clicks when none has come
    for ``seconds_for_feedback``. Files appear whole or not at all. What still waits when the
    process is killed outright is lost; an orderly end writes it.

    Args:
        folder: Where files go; made when needed.
        rows_per_file: Rows from which a file is written.
        seconds_per_file: Age of the oldest row from which a file is written.
        seconds_for_feedback: How long a slate waits for feedback.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rows_per_file: int = ROWS_PER_FILE,
        seconds_per_file: float = SECONDS_PER_FILE,
        seconds_for_feedback: float = SECONDS_FOR_FEEDBACK,
    ) -> None:
        self._folder = folder
        self._rows_per_file = rows_per_file
        self._seconds_per_file = seconds_per_file
        # the oldest are written first where too many wait
        self._waiting = WaitingSlates[ServedSlate](seconds_for_feedback, MOST_WAITING)
        self._rows: list[dict[str, Any]] = []
        self._oldest_row = 0.0
        self._n_files = 0
        self._lock = threading.Lock()
        self._started = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}"

    def served(self, slate: ServedSlate) -> None:
        """Keep a slate until its feedback comes."""
        with self._lock:
            self._waiting.keep(slate.request_id, slate)

    def items_of(self, request_id: str) -> list[str] | None:
        """Return the items of a slate that waits for feedback; None where none does."""
        with self._lock:
            found = self._waiting.get(request_id)
        return None if found is None else found.items

    def clicked(self, request_id: str, clicks: Collection[str]) -> bool:
        """Take in the feedback to a slate; return whether the slate was known.

        Args:
            request_id: Names the slate.
            clicks: Ids of the clicked items; none is an answer too.
        """
        with self._lock:
            found = self._waiting.pop(request_id)
            if found is not None:
                self._put(found, frozenset(clicks))
        return found is not None

    def write_due(self, *, everything: bool = False) -> Path | None:
        """Write what is due to a file; called every few seconds, beside the answers.

        Args:
            everything: Do not wait any longer, neither for feedback nor for more rows.

        Returns:
            The file, or None where nothing was due.
        """
        with self._lock:
            while (slate := self._waiting.pop_due(crowded=everything)) is not None:
                self._put(slate, frozenset())
            full = len(self._rows) >= self._rows_per_file
            old = bool(self._rows) and time.monotonic() - self._oldest_row >= self._seconds_per_file
            if not (full or old or (everything and self._rows)):
                return None
            rows, self._rows = self._rows, []
            self._n_files += 1
            path = self._folder / f"events-{self._started}-{self._n_files:06d}.parquet"
        _write(path, rows)
        return path

    def _put(self, slate: ServedSlate, clicks: frozenset[str]) -> None:
        if not self._rows:
            self._oldest_row = time.monotonic()
        for position, (item, log_prob) in enumerate(zip(slate.items, slate.log_probs, strict=True)):
            self._rows.append(
                {
                    "user_id": slate.user_id,
                    "item_id": item,
                    "timestamp": slate.time,
                    "label": int(item in clicks),
                    "slate_id": slate.request_id,
                    "position": position,
                    "propensity": max(math.exp(log_prob), LEAST_PROPENSITY),
                    "log_prob": log_prob,
                    "catalogue_version": slate.catalogue_version,
                    "model": slate.model,
                }
            )


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with staged_path(path) as staging:
        pq.write_table(pa.Table.from_pylist(rows), staging)
