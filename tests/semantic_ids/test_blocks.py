from __future__ import annotations

import pytest

from hsrl_pipeline.semantic_ids.blocks import TASK_ROWS, count_threads, map_row_ranges


def test_ranges_cover_all_rows_in_order() -> None:
    n_rows = 2 * TASK_ROWS + 5
    ranges = map_row_ranges(lambda first, end: (first, end), n_rows, n_threads=3)
    assert ranges == [
        (0, TASK_ROWS),
        (TASK_ROWS, 2 * TASK_ROWS),
        (2 * TASK_ROWS, n_rows),
    ]


def test_no_rows_give_no_task() -> None:
    assert map_row_ranges(lambda first, end: end, 0) == []


def test_thread_count_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3,1")
    assert count_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert count_threads() >= 1
