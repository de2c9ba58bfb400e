"""A day must mean the same as the events already ingested."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.data.events.store import EventManifest
from hsrl_pipeline.data.tables.ingest import LandedLog, build_tables, land_log
from hsrl_pipeline.errors import UserError

DAYS = ("2024-05-01", "2024-05-02")
START = int(datetime.datetime(2024, 5, 1, tzinfo=datetime.timezone.utc).timestamp())
PLAIN = {"columns": {"label": "label"}}
SLATED = {"columns": {"label": "label", "slate": "list"}}
IN_MS = {**PLAIN, "time_format": "ms"}


class Log:
    """A tabular log that is ingested under changing parameters."""

    def __init__(self, folder: Path) -> None:
        self.raw, self.work = folder / "raw", folder / "work"
        (self.raw / "tabular").mkdir(parents=True)
        (self.work / "events").mkdir(parents=True)
        items = "".join(f"{item},2\n" for item in range(7))
        (self.raw / "tabular" / "items.csv").write_text(f"item_id,length\n{items}")
        self.write()

    def write(self, scale: int = 1, label: str = "label") -> None:
        times = [START + 86_400 * day + 600 * e for day in range(2) for e in range(12)]
        rows = [
            f"u{n % 2},{n % 7},{scale * time},{n % 2},{1 + n % 5},l{n // 4},0.5"
            for n, time in enumerate(times)
        ]
        lines = [f"user_id,item_id,timestamp,{label},stars,list,chance", *rows]
        (self.raw / "tabular" / "events.csv").write_text("\n".join(lines) + "\n")

    def land(
        self, date: str | None, tabular: dict[str, Any] = PLAIN, **parameters: Any
    ) -> tuple[LandedLog, IngestionConfig]:
        values = {"source": "tabular", "slate_size": 2, "threads": 1, "date": date}
        config = IngestionConfig.model_validate({**values, "tabular": tabular, **parameters})
        landed = land_log(self.raw, self.work, config, 0)
        self.manifest.write_text(json.dumps(landed.manifest.to_dict()))
        return landed, config

    def ingest(self, date: str | None, tabular: dict[str, Any] = PLAIN, **parameters: Any) -> None:
        landed, config = self.land(date, tabular, **parameters)
        build_tables(self.work, landed, config, "tabular")

    @property
    def manifest(self) -> Path:
        return self.work / "events" / "manifest.json"

    def state(self) -> list[str]:
        names = [str(path.relative_to(self.work)) for path in self.work.rglob("*")]
        return [*sorted(n for n in names if n.startswith("events")), self.manifest.read_text()]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


STARS = {"columns": {"value": "stars"}}

CASES = [
    (PLAIN, IN_MS, {}, "ingestion.tabular.time_format is ms, was s"),
    (IN_MS, PLAIN, {}, "ingestion.tabular.time_format is s, was ms"),
    (PLAIN, SLATED, {}, "ingestion.tabular.columns.slate is given, was null"),
    (SLATED, PLAIN, {}, "ingestion.tabular.columns.slate is null, was given"),
    (PLAIN, PLAIN, {"slate_size": 3}, "ingestion.slate_size is 3, was 2"),
    (PLAIN, PLAIN, {"train_share": 0.5}, "ingestion.train_share is 0.5, was 0.8"),
    (
        PLAIN,
        {**PLAIN, "session_gap_minutes": 30},
        {},
        "ingestion.tabular.session_gap_minutes is 30.0, was null",
    ),
    (
        PLAIN,
        {"columns": {"label": "label", "propensity": "chance"}},
        {},
        "ingestion.tabular.columns.propensity is given, was null",
    ),
    (PLAIN, STARS, {}, "ingestion.tabular.columns.label is null, was given"),
    (STARS, STARS, {"positive_above": 2}, "ingestion.positive_above is 2.0, was 3.0"),
    (
        {**STARS, "value_range": [1, 5]},
        {**STARS, "value_range": [1, 10]},
        {},
        "ingestion.tabular.value_range is [1.0, 10.0], was [1.0, 5.0]",
    ),
    (
        {**PLAIN, "items": {"file": "items.csv", "numbers": ["length"]}},
        PLAIN,
        {},
        "ingestion.tabular.items is null, was given",
    ),
]


@pytest.mark.parametrize(("base", "day", "parameters", "said"), CASES)
def test_a_day_with_another_setting_is_refused_before_anything_changes(
    log: Log, base: dict[str, Any], day: dict[str, Any], parameters: dict[str, Any], said: str
) -> None:
    log.write(1000 if base == IN_MS else 1)
    log.land(None, base)
    before = log.state()
    log.write(1000 if day == IN_MS else 1)
    with pytest.raises(UserError) as caught:
        log.land(DAYS[1], day, **parameters)
    message = str(caught.value)
    assert message.startswith(f"The day {DAYS[1]} has other settings than the events already")
    assert said in message
    assert "leave ingestion.date out to ingest the whole log again" in message
    assert log.state() == before


def test_all_differences_are_one_message(log: Log) -> None:
    log.ingest(DAYS[0])
    with pytest.raises(UserError) as caught:
        log.ingest(DAYS[1], {**SLATED, "time_format": "ms"}, slate_size=3)
    for name in ("time_format is ms", "columns.slate is given", "slate_size is 3"):
        assert name in str(caught.value)


def test_a_day_of_another_source_names_that_alone(log: Log) -> None:
    log.ingest(DAYS[0])
    values = json.loads(log.manifest.read_text())
    values["settings"]["ingestion.source"] = "ml1m"
    log.manifest.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"ingested: ingestion.source is tabular, was ml1m \("):
        log.ingest(DAYS[1], slate_size=3)


def test_a_manifest_without_settings_still_tells_its_unit_and_slates(log: Log) -> None:
    log.ingest(None)
    values = json.loads(log.manifest.read_text())
    del values["settings"]
    log.manifest.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"time_format is ms, was s"):
        log.ingest(DAYS[1], IN_MS)
    log.ingest(DAYS[1])
    kept = EventManifest.from_dict(json.loads(log.manifest.read_text()))
    assert kept.settings["ingestion.source"] == "tabular"


def test_the_whole_log_and_the_only_day_may_change_all_settings(log: Log) -> None:
    log.ingest(DAYS[0])
    log.ingest(DAYS[0], SLATED)
    log.ingest(None, {"columns": {"label": "label"}, "session_gap_minutes": 30})


def test_names_of_columns_and_spelling_of_seconds_may_change(log: Log) -> None:
    log.ingest(DAYS[0])
    log.write(label="clicked")
    log.ingest(DAYS[1], {"columns": {"label": "clicked"}})
    assert sorted(json.loads(log.manifest.read_text())["days"]) == list(DAYS)
