"""Served slates become a log that the ``tabular`` source ingests."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.data.tables.ingest import build_tables, land_log
from hsrl_pipeline.serving import Recommender, create_app
from hsrl_pipeline.serving.event_log import EventLog, ServedSlate

from .small_model import Caller, small_model

COLUMNS = {
    "user": "user_id",
    "item": "item_id",
    "timestamp": "timestamp",
    "label": "label",
    "slate": "slate_id",
    "position": "position",
    "propensity": "propensity",
}


def slate(number: int, log_probs: list[float]) -> ServedSlate:
    items = [f"i{number}", f"i{number + 1}"]
    return ServedSlate(f"r{number}", "anna", 1_700_000_000_000, items, log_probs, "v1", "m")


def test_a_slate_is_written_with_its_clicks(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events")
    log.served(slate(1, [math.log(0.25), 0.0]))
    log.served(slate(2, [0.0, -1e9]))
    assert log.write_due() is None
    assert log.clicked("r1", ["i2"])
    assert not log.clicked("r1", [])
    assert not log.clicked("r9", [])
    path = log.write_due(everything=True)
    assert path is not None
    rows = pd.read_parquet(path)
    assert rows["label"].tolist() == [0, 1, 0, 0]
    assert rows["position"].tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(rows["propensity"], [0.25, 1.0, 1.0, 1e-30])
    assert set(rows["catalogue_version"]) == {"v1"}
    assert list((tmp_path / "events").iterdir()) == [path]
    assert log.write_due(everything=True) is None


@pytest.mark.parametrize(
    ("options", "due"),
    [
        ({"seconds_for_feedback": 0.0}, False),
        ({"seconds_for_feedback": 0.0, "rows_per_file": 2}, True),
        ({"seconds_for_feedback": 0.0, "seconds_per_file": 0.0}, True),
        ({"rows_per_file": 2}, False),
    ],
)
def test_files_are_written_when_they_are_full_or_old(
    tmp_path: Path, options: dict[str, Any], due: bool
) -> None:
    log = EventLog(tmp_path, **options)
    log.served(slate(1, [0.0, 0.0]))
    assert (log.write_due() is not None) == due


def test_a_served_day_is_ingested(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    events = EventLog(raw / "tabular" / "served")
    app = create_app(Recommender(small_model(), explore=True, seed=3), events=events)

    async def serve_a_day() -> None:
        async with app.router.lifespan_context(app):
            call = Caller(app)
            for turn in range(30):
                body = {"n": 2, "user_id": f"user {turn % 5}"}
                _, answer = await call("POST", "/recommend", body)
                feedback = {"request_id": answer["request_id"], "clicks": answer["items"][:1]}
                if turn % 3:
                    assert await call("POST", "/feedback", feedback) == (200, {"kept": True})
            strange = {"request_id": answer["request_id"], "clicks": []}
            assert (await call("POST", "/feedback", strange))[0] == 404

    asyncio.run(serve_a_day())
    config = IngestionConfig(
        source="tabular",
        threads=1,
        slate_size=2,
        tabular={"events": "served", "time_format": "ms", "columns": COLUMNS},
    )
    landed = land_log(raw, tmp_path / "work", config, seed=0)
    tables = build_tables(tmp_path / "work", landed, config, "served")
    assert len(pd.read_parquet(tables.interactions)) == 60
    assert (tables.info.n_users, tables.info.slate_size) == (5, 2)
    log = SlateLog.from_frames(pd.read_parquet(tables.slates), pd.read_parquet(tables.timeline))
    assert len(log.slates) == 30
    assert log.labels.sum() == 20
    assert log.propensities is not None
    assert ((log.propensities > 0) & (log.propensities < 1)).all()
