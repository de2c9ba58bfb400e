"""The ingestion pipeline on a catalog, from raw files to the data-quality report."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.data.dataset_info import DatasetInfo
from hsrl_pipeline.data.feature_tables import ItemTable, UserTable
from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.data.synthetic_truth import SyntheticTruth, true_click_probabilities
from hsrl_pipeline.pipelines.ingestion import create_pipeline
from hsrl_pipeline.pipelines.ingestion.pipeline import TABLES
from hsrl_pipeline.provenance import provenance_of

PROJECT = Path(__file__).parents[2]
SYNTHETIC = {"n_users": 40, "n_items": 60, "mean_events": 30}


def make_catalog(folder: Path, config: IngestionConfig) -> DataCatalog:
    """Return the project's own catalog entries below a folder."""
    text = (PROJECT / "conf" / "base" / "catalog_ingestion.yml").read_text()
    entries = yaml.safe_load(text.replace("${globals:dataset}", "toy"))
    for entry in entries.values():
        entry["filepath"] = str(folder / entry["filepath"])
    catalog = DataCatalog.from_config(entries)
    catalog["params:ingestion"] = MemoryDataset(config)
    catalog["params:seed"] = MemoryDataset(0)
    return catalog


def ingest(folder: Path, **parameters: Any) -> DataCatalog:
    config = IngestionConfig(**{"source": "synthetic", "synthetic": SYNTHETIC, **parameters})
    catalog = make_catalog(folder, config)
    SequentialRunner().run(create_pipeline(), catalog)
    return catalog


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> DataCatalog:
    return ingest(tmp_path_factory.mktemp("project"))


def test_tables_fit_together(catalog: DataCatalog) -> None:
    info = DatasetInfo.from_dict(catalog.load("dataset_info"))
    log = SlateLog.from_frames(catalog.load("slates"), catalog.load("timeline"))
    users = UserTable.from_frame(catalog.load("users"), info)
    items = ItemTable.from_frame(catalog.load("items"), info)
    assert (info.dataset, info.slate_size) == ("toy", 10)
    assert (len(log.train), len(log.test)) == (info.n_train_slates, info.n_test_slates)
    assert log.slates.min() >= 1
    assert log.slates.max() <= items.n_items == info.n_items
    assert len(users.categories) == info.n_users + 1
    assert (users.categories.max(axis=0) < users.category_sizes).all()
    positives = catalog.load("interactions").query("label == 1")
    assert positives["item_index"].tolist() == log.timeline.tolist()


def test_tables_carry_the_version_of_the_dataset(catalog: DataCatalog) -> None:
    version = catalog.load("dataset_info")["version"]
    for name in ("users", "items", "recorded_answers", "propensities", "synthetic_truth"):
        facts = provenance_of(catalog.load(name))
        assert facts["dataset_version"] == version, name


def test_a_run_killed_between_two_tables_leaves_users_behind() -> None:
    assert TABLES[0] == "dataset_info"
    assert TABLES[-1] == "users"


def test_truth_speaks_of_the_canonical_tables(catalog: DataCatalog) -> None:
    truth = SyntheticTruth.from_checkpoint(catalog.load("synthetic_truth"))
    aligned = truth.aligned(catalog.load("users"), catalog.load("items"))
    log = SlateLog.from_frames(catalog.load("slates"), catalog.load("timeline"))
    p = true_click_probabilities(aligned, log.users, log.slates)
    assert abs(p.mean() - log.labels.mean()) < 0.05
    assert p[log.labels == 1].mean() > p[log.labels == 0].mean() + 0.1


def test_report_plot_and_metrics_are_persisted(catalog: DataCatalog) -> None:
    report = catalog.load("data_quality_report")
    assert report["rows"]["in"] == report["rows"]["out"] == report["log"]["events"]
    assert catalog.exists("data_quality_plot")
    assert catalog.load("data_quality_metrics")["data_rows_dropped"] == 0.0
    assert set(catalog.load("category_values")) == {"segment", "region"}
    assert len(catalog.load("item_popularity")) == len(catalog.load("items"))


def test_the_same_seed_gives_the_same_bytes(catalog: DataCatalog, tmp_path: Path) -> None:
    again = ingest(tmp_path)
    for name in ("interactions", "slates", "timeline", "items", "users", "dataset_info"):
        paths = [Path(str(c[name]._filepath)) for c in (catalog, again)]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_real_log_has_no_truth_and_daily_runs_add_up(tmp_path: Path) -> None:
    raw = tmp_path / "data" / "01_raw" / "tabular"
    raw.mkdir(parents=True)
    rows = [f"u{k % 3},i{k % 7},{1_714_521_600 + 4000 * k},{k % 2}" for k in range(40)]
    (raw / "events.csv").write_text("\n".join(["user_id,item_id,timestamp,label", *rows]) + "\n")
    settings = {"source": "tabular", "slate_size": 2}
    ingest(tmp_path, **settings, date="2024-05-01")
    daily = ingest(tmp_path, **settings, date="2024-05-02")
    assert daily.load("synthetic_truth") == {"config": {}, "state": {}}
    assert daily.load("data_quality_report")["log"]["last_event"].startswith("2024-05-02")
    whole = ingest(tmp_path, **settings)
    pd.testing.assert_frame_equal(daily.load("slates"), whole.load("slates"))


def test_people_held_back_and_their_answers_are_persisted(tmp_path: Path) -> None:
    raw = tmp_path / "data" / "01_raw" / "jester"
    raw.mkdir(parents=True)
    rows = [[4, *((3 * p + 4 * j) % 21 - 10 for j in range(4))] for p in range(6)]
    lines = [",".join(map(str, row)) for row in rows]
    (raw / "jester-data-1.csv").write_text("\n".join(lines) + "\n")
    jokes = [
        f"{joke},Joke about {word}"
        for joke, word in enumerate(("cats", "roads", "bars", "doctors"), 1)
    ]
    (raw / "jester-jokes.csv").write_text("\n".join(["joke_id,text", *jokes]) + "\n")
    settings = {"held_back_people": 2, "known_jokes": 2}
    catalog = ingest(tmp_path, source="jester", slate_size=2, positive_above=0.0, jester=settings)
    answers = catalog.load("recorded_answers")
    held_back = catalog.load("slates").query("split == 'test'")["user_index"]
    assert sorted(answers["user_index"].unique()) == sorted(held_back)
    assert len(answers) == 2 * 4
    # the log and the answers agree where both know something
    events = catalog.load("interactions").merge(answers, on=["user_index", "item_index"])
    assert len(events) == 2 * 2
    assert (events["label_x"] == events["label_y"]).all()
    assert catalog.load("propensities").empty
