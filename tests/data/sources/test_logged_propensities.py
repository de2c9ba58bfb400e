"""Logs that say with which probability each shown item was shown."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.errors import UserError

EVENTS = "tabular/impressions.csv"
HEADER = (
    "impression,timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1"
)
MAPPING: dict[str, Any] = {
    "events": "impressions.csv",
    "time_format": "datetime",
    "columns": {
        "user": "impression",
        "item": "item_id",
        "timestamp": "timestamp",
        "label": "click",
        "propensity": "propensity_score",
    },
    "users": {
        "file": "impressions.csv",
        "id": "impression",
        "categories": ["user_feature_0", "user_feature_1"],
    },
}


def impressions(chances: list[Any]) -> dict[str, bytes]:
    """Return a log in the columns of Open Bandit, one row per chance."""
    rows = [
        f"{n},2019-11-24 00:0{n}:13.442536+00:00,{n % 3},{n % 3 + 1},{n % 2},{chance},cef3,{n % 2}a"
        for n, chance in enumerate(chances)
    ]
    return {EVENTS: ("\n".join([HEADER, *rows]) + "\n").encode()}


def test_propensities_stand_beside_the_items_they_belong_to(ingest: Callable[..., Any]) -> None:
    chances = [0.5, 0.25, 0.125, 1, "", 0.03125]
    tables = ingest("tabular", impressions(chances), slate_size=1, tabular=MAPPING)
    expected = [0.5, 0.25, 0.125, 1.0, np.nan, 0.03125]
    np.testing.assert_array_equal(tables.slates["propensity_0"], expected)
    by_time = tables.interactions.sort_values("timestamp")
    np.testing.assert_array_equal(by_time["propensity"], expected)
    assert tables.users["category_user_feature_1"].nunique() == 2
    log = SlateLog.from_frames(tables.slates, tables.timeline)
    assert log.propensities is not None
    np.testing.assert_array_equal(log.test.propensities, np.float32([[np.nan], [0.03125]]))


def test_each_slot_of_a_slate_has_its_own(ingest: Callable[..., Any]) -> None:
    rows = [
        f"u,{item},{60 * shown + place},0,{0.1 * (1 + place + 3 * shown):.1f},list{shown}"
        for shown in range(2)
        for place, item in enumerate("abc")
    ]
    header = "user_id,item_id,timestamp,label,chance,list"
    mapping = {"columns": {"label": "label", "slate": "list", "propensity": "chance"}}
    files = {"tabular/events.csv": "\n".join([header, *rows]).encode()}
    tables = ingest("tabular", files, slate_size=3, train_share=0.5, tabular=mapping)
    columns = [f"propensity_{place}" for place in range(3)]
    np.testing.assert_allclose(tables.slates[columns], [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])


@pytest.mark.parametrize(
    ("chance", "reason"),
    [
        ("0", "propensity is not above 0 and at most 1"),
        ("1.5", "propensity is not above 0 and at most 1"),
        ("-0.1", "propensity is not above 0 and at most 1"),
        ("often", "propensity is not a number"),
    ],
)
def test_what_is_no_probability_is_a_bad_row(
    ingest: Callable[..., Any], chance: str, reason: str
) -> None:
    files = impressions([0.5, chance, 0.5, 0.5, 0.5])
    with pytest.raises(UserError) as refused:
        ingest("tabular", files, slate_size=1, tabular=MAPPING)
    assert reason in str(refused.value)
    assert "propensity_score" in str(refused.value)
    assert "line 3" in str(refused.value)


def test_a_log_without_propensities_has_no_such_column(
    ingest: Callable[..., Any], tabular: dict[str, bytes]
) -> None:
    tables = ingest("tabular", tabular, slate_size=3)
    assert not any(name.startswith("propensity") for name in tables.slates.columns)
    assert SlateLog.from_frames(tables.slates, tables.timeline).propensities is None
