"""Daily partitions: idempotent, safe against a kill, the same as the whole log at once."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.data.accounts import RowAccounts
from hsrl_pipeline.data.events.store import EventManifest, load_manifest
from hsrl_pipeline.data.tables.ingest import CanonicalTables, LandedLog, build_tables, land_log
from hsrl_pipeline.errors import UserError

DAYS = ("2024-05-01", "2024-05-02", "2024-05-03")


class Project:
    """A folder in which a tabular log is ingested, day by day or whole."""

    def __init__(self, folder: Path) -> None:
        self.raw, self.work = folder / "raw", folder / "work"
        (self.raw / "tabular").mkdir(parents=True)
        self.write(self.rows())

    def rows(self) -> list[str]:
        start = int(datetime.datetime(2024, 5, 1, tzinfo=datetime.timezone.utc).timestamp())
        return [
            f"u{(3 * event + day) % 4},i{(event * event + day) % 7},"
            f"{start + 86_400 * day + 600 * event},{event % 2}"
            for day in range(len(DAYS))
            for event in range(16)
        ]

    def write(self, rows: list[str]) -> None:
        lines = ["user_id,item_id,timestamp,label", *rows]
        (self.raw / "tabular" / "events.csv").write_text("\n".join(lines) + "\n")

    def land(self, date: str | None = None, on_bad_rows: str = "error") -> LandedLog:
        config = self.config(date=date, on_bad_rows=on_bad_rows)
        return land_log(self.raw, self.work, config, seed=0)

    def commit(self, landed: LandedLog) -> None:
        folder = self.work / "events"
        (folder / "manifest.json").write_text(json.dumps(landed.manifest.to_dict()))

    def ingest(self, date: str | None = None, on_bad_rows: str = "error") -> CanonicalTables:
        landed = self.land(date, on_bad_rows)
        self.commit(landed)
        return self.build(landed)

    def build(self, landed: LandedLog) -> CanonicalTables:
        return build_tables(self.work, landed, self.config(), "tabular")

    def config(self, **parameters: Any) -> IngestionConfig:
        return IngestionConfig(source="tabular", slate_size=3, threads=1, **parameters)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def frames(tables: CanonicalTables) -> dict[str, pd.DataFrame]:
    return {name: pd.read_parquet(path) for name, path in tables.staged.items()}


def test_a_day_that_writes_ids_as_floats_is_of_the_same_users_and_items(project: Project) -> None:
    rows = [row.replace("u", "").replace("i", "").split(",") for row in project.rows()]
    project.write([",".join(row) for row in rows])
    whole = project.ingest()
    floats = [f"{user}.0,{item}.0,{rest[0]},{rest[1]}" for user, item, *rest in rows]
    project.write([",".join(row) for row in rows[:8]] + floats[8:])
    daily = project.ingest(DAYS[-1])
    assert daily.info == whole.info
    for name, frame in frames(whole).items():
        pd.testing.assert_frame_equal(frame, frames(daily)[name])


def test_days_one_by_one_give_the_tables_of_the_whole_log(project: Project) -> None:
    whole = project.ingest()
    for day in DAYS[:-1]:
        project.commit(project.land(day))
    daily = project.ingest(DAYS[-1])
    assert daily.info == whole.info
    for name, frame in frames(whole).items():
        pd.testing.assert_frame_equal(frame, frames(daily)[name])


def test_a_day_alone_holds_that_day_and_twice_changes_nothing(project: Project) -> None:
    once = project.ingest(DAYS[0])
    assert once.summary["events"] == 16
    first = {name: path.read_bytes() for name, path in once.staged.items()}
    again = project.ingest(DAYS[0])
    assert {name: path.read_bytes() for name, path in again.staged.items()} == first
    assert again.info.version == once.info.version
    accounts = project.land(DAYS[0]).manifest.merged_accounts()
    assert (accounts.rows_in, accounts.rows_out) == (16, 16)


def test_a_corrected_day_replaces_that_day_of_the_base(project: Project) -> None:
    project.ingest()
    rows = project.rows()
    project.write([row for row in rows if not row.startswith("u1,")])
    tables = project.ingest(DAYS[1])
    lost = sum(row.startswith("u1,") for row in rows[16:32])
    assert lost > 0
    assert tables.summary["events"] == len(rows) - lost
    assert tables.summary["notes"]["rows replaced by a later partition"] == 16


def test_a_whole_log_replaces_all_days(project: Project) -> None:
    project.ingest(DAYS[0])
    landed = project.land()
    assert (landed.manifest.days, landed.manifest.base is not None) == ({}, True)


def test_a_batch_counts_only_when_its_manifest_is_in_place(project: Project) -> None:
    before = project.ingest(DAYS[0])
    project.land(DAYS[1])  # killed before the manifest was saved
    manifest = load_manifest(project.work / "events")
    assert manifest is not None
    assert list(manifest.days) == [DAYS[0]]
    empty = pd.DataFrame({"item_id": []}, dtype=str), pd.DataFrame({"user_id": []}, dtype=str)
    assert project.build(LandedLog(manifest, *empty)).info.version == before.info.version
    project.commit(project.land(DAYS[2]))
    folders = [path for path in (project.work / "events").iterdir() if path.is_dir()]
    assert len(folders) == 2  # the killed batch is swept


def test_a_refused_day_leaves_the_last_good_state(project: Project) -> None:
    project.ingest(DAYS[0])
    project.write([*project.rows(), "u1,i1,1714608000,7"])
    with pytest.raises(UserError, match=r"label is not 0 or 1: '7' \(events.csv, line 50"):
        project.land(DAYS[1])
    manifest = load_manifest(project.work / "events")
    assert manifest is not None
    assert list(manifest.days) == [DAYS[0]]
    landed = project.land(DAYS[1], on_bad_rows="drop")
    assert landed.manifest.merged_accounts().rows_dropped == 1


def test_a_day_without_events_and_a_lost_file_are_named(project: Project) -> None:
    with pytest.raises(UserError, match="no usable event on 1999-01-01"):
        project.land("1999-01-01")
    landed = project.land()
    project.commit(landed)
    (project.work / "events" / str(landed.manifest.base) / "users.parquet").unlink()
    with pytest.raises(UserError, match=r"users.parquet is missing.*Ingest the whole log again"):
        project.build(landed)


def test_manifest_survives_a_round_trip(project: Project) -> None:
    manifest = project.land(DAYS[0]).manifest
    assert EventManifest.from_dict(manifest.to_dict()) == manifest
    assert RowAccounts.from_dict(manifest.accounts[DAYS[0]]).rows_in == 16


def test_nothing_is_left_in_scratch_but_what_waits_to_be_placed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = project.ingest()
    scratch = list(project.work.glob("scratch-*"))
    assert [path.name for path in scratch] == [tables.slates.parent.name]
    stale = scratch[0].rename(project.work / "scratch-999999999-abc")
    project.ingest()
    assert not stale.exists()


@pytest.mark.parametrize("change", ["labels", "items", "users"])
def test_nothing_of_the_training_split_depends_on_test_rows(
    project: Project, change: str, ingest: Callable[..., Any]
) -> None:
    rows = [
        f"u{(5 * event) % 3},i{event % 9},{1_700_000_000 + 60 * event},{event % 2}"
        for event in range(90)
    ]
    users = "\n".join(["user_id,kind,size", *(f"u{k},kind {k},{k}" for k in range(4))])
    project_files = {"tabular/users.csv": users.encode() + b"\n"}
    settings = {
        "slate_size": 3,
        "tabular": {
            "columns": {"label": "label"},
            "users": {"file": "users.csv", "categories": ["kind"], "numbers": ["size"]},
        },
    }

    def tables(lines: list[str]) -> Any:
        log = "\n".join(["user_id,item_id,timestamp,label", *lines]) + "\n"
        return ingest("tabular", {**project_files, "tabular/events.csv": log.encode()}, **settings)

    before = tables(rows)
    train = before.slates[before.slates["split"] == "train"]
    last_train = train["timestamp"].max()
    changed = []
    for place, row in enumerate(rows):
        user, item, time, label = row.split(",")
        if int(time) > last_train:
            label = str(1 - int(label)) if change == "labels" else label
            item = f"a{place % 5}" if change == "items" else item
            user = "u3" if change == "users" and user == "u2" else user
        changed.append(f"{user},{item},{time},{label}")
    after = tables(changed)
    size = len(train)
    pd.testing.assert_frame_equal(
        after.slates[after.slates["split"] == "train"].drop(
            columns=["history_start", "history_end"]
        ),
        train.drop(columns=["history_start", "history_end"]),
    )
    for old, new in zip(
        train.to_dict("records"), after.slates[:size].to_dict("records"), strict=True
    ):
        windows = [
            table.timeline["item_index"][row["history_start"] : row["history_end"]].tolist()
            for table, row in ((before, old), (after, new))
        ]
        assert windows[0] == windows[1]
    known = set(train[["item_0", "item_1", "item_2"]].to_numpy().ravel())
    assert known == set(range(1, len(known) + 1))
    for frame, column in (("items", "item_index"), ("users", "user_index")):
        count = len(known) if frame == "items" else train["user_index"].nunique()
        old, new = getattr(before, frame), getattr(after, frame)
        pd.testing.assert_frame_equal(old[old[column] <= count], new[new[column] <= count])
    assert before.category_values == after.category_values
