import io
import logging
import sys

import pytest

from hsrl_pipeline import progress as progress_module
from hsrl_pipeline.progress import Progress, _clock


def test_writes_lines_with_figures_and_time_left(monkeypatch, caplog) -> None:
    now = iter([0.0, 6.0, 6.0, 7.0, 12.0, 12.0])
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with caplog.at_level(logging.INFO), Progress("Training hsrl", 100) as progress:
        progress.advance(25, reward=4.25)
        progress.advance(5)
        progress.advance(20)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "Training hsrl: 25 of 100 iterations, 0:18 left  reward 4.25",
        "Training hsrl: 50 of 100 iterations, 0:12 left",
    ]


def test_resumed_work_does_not_count_as_speed(monkeypatch, caplog) -> None:
    now = iter([0.0, 0.0, 10.0, 10.0])
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with caplog.at_level(logging.INFO), Progress("Training", 100) as progress:
        progress.start_at(90)
        progress.advance(5)
    assert caplog.records[-1].getMessage() == "Training: 95 of 100 iterations, 0:10 left"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_shows_a_bar_on_a_terminal_and_no_lines(monkeypatch, caplog) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with caplog.at_level(logging.INFO), Progress("Training hsrl", 10) as progress:
        progress.advance(10, reward=1.5)
    assert not caplog.records
    assert "10/10" in terminal.getvalue()
    assert "reward 1.5" in terminal.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61, "1:01"), (float("nan"), "?")])
def test_clock(seconds: float, text: str) -> None:
    assert _clock(seconds) == text
