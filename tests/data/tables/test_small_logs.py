"""Logs with hardly any items or users: they work, or one message says what is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hsrl_pipeline.errors import UserError


def log_of(n_users: int, n_items: int, n_events: int = 8) -> dict[str, bytes]:
    rows = [
        f"u{user},i{event % n_items},{1_700_000_000 + 60 * event},{event % 3 % 2}"
        for user in range(n_users)
        for event in range(n_events)
    ]
    lines = ["user_id,item_id,timestamp,label", *rows]
    return {"tabular/events.csv": ("\n".join(lines) + "\n").encode()}


@pytest.mark.parametrize(
    ("n_items", "slate_size", "message"),
    [
        (1, 1, "only 1 different item, and slates of 1 need at least 2 to choose from"),
        (1, 2, "only 1 different item, and slates of 2 need at least 2 to choose from"),
        (2, 4, r"only 2 different items.*need at least 4.*set ingestion.slate_size to at most 2"),
    ],
)
def test_logs_with_fewer_items_than_a_slate_takes_are_refused(
    n_items: int, slate_size: int, message: str, ingest: Callable[..., Any]
) -> None:
    with pytest.raises(UserError, match=message):
        ingest("tabular", log_of(3, n_items), slate_size=slate_size)


def test_a_log_of_as_many_items_as_a_slate_takes_is_ingested(ingest: Callable[..., Any]) -> None:
    tables = ingest("tabular", log_of(2, 2), slate_size=2)
    assert tables.info.n_items == 2
    assert len(tables.slates) == 8


def test_a_log_of_one_user_is_ingested(ingest: Callable[..., Any]) -> None:
    tables = ingest("tabular", log_of(1, 5), slate_size=2)
    assert tables.info.n_users == 1
    assert tables.slates["split"].tolist() == ["train"] * 3 + ["test"]
