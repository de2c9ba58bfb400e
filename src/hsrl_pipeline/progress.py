"""Progress of long work: a bar on a terminal, a log line every few seconds elsewhere."""

from __future__ import annotations

import logging
import math
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from typing_extensions import Self

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Report how far a long loop is, its current figures and the time left.

    Args:
        description: What is being done, for example ``"Training hsrl"``.
        total: Number of units of work, at least 1.
        unit: Plural name of the unit, for example ``"iterations"``.
    """

    def __init__(self, description: str, total: int, unit: str = "iterations") -> None:
        self._description = description
        self._total = max(total, 1)
        self._unit = unit
        self._completed = 0
        self._resumed_from = 0
        self._started = 0.0
        self._last_line = 0.0
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._started = self._last_line = time.monotonic()
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )
            from rich.progress import Progress as RichProgress

            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[figures]}"),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task(self._description, total=self._total, figures="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def start_at(self, completed: int) -> None:
        """Count work that an earlier, resumed run has already done."""
        self._completed = self._resumed_from = completed
        self._show({})

    def advance(self, count: int = 1, **figures: float) -> None:
        """Count finished work and show the current figures.

        Args:
            count: Units finished since the last call.
            **figures: Current values to show, for example ``reward=4.2``.
        """
        self._completed += count
        self._show(figures)

    def due(self) -> bool:
        """Whether figures given now would be shown; if not, they need not be computed."""
        return time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES

    def _show(self, figures: dict[str, float]) -> None:
        shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        if self._bar is not None and self._task is not None:
            fields = {"figures": shown} if shown else {}
            self._bar.update(self._task, completed=self._completed, **fields)  # type: ignore[arg-type]
            if shown:
                self._last_line = time.monotonic()
            return
        if not self.due():
            return
        self._last_line = time.monotonic()
        elapsed = self._last_line - self._started
        done = self._completed - self._resumed_from
        left = elapsed / done * (self._total - self._completed) if done else float("nan")
        logger.info(
            "%s: %d of %d %s, %s left%s",
            self._description,
            self._completed,
            self._total,
            self._unit,
            _clock(left),
            f"  {shown}" if shown else "",
        )


def _clock(seconds: float) -> str:
    """Return a duration as minutes and seconds, or a question mark when it is unknown."""
    if math.isnan(seconds):  # nothing finished yet
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
