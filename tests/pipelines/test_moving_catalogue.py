"""The moving_catalogue pipeline on small canonical tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from hsrl_pipeline.catalogue import CatalogueChange, CatalogueSchedule, LiveCatalogue, Publication
from hsrl_pipeline.catalogue.changes import apply_change
from hsrl_pipeline.config.catalogue import CatalogueConfig
from hsrl_pipeline.config.session import CandidatesConfig, SessionConfig
from hsrl_pipeline.config.sid import ItemVectorConfig, SidConfig
from hsrl_pipeline.config.simulator import SimulatorConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.io.atomic_datasets import AtomicJSONDataset, AtomicParquetDataset
from hsrl_pipeline.io.checkpoint_dataset import CheckpointDataset
from hsrl_pipeline.io.codebook_dataset import CodebookDataset
from hsrl_pipeline.pipelines.moving_catalogue import create_pipeline

from .offline_eval_inputs import INFO, N_ITEMS, SLATE, make_simulator, make_tables

MADE = {
    "catalogue_schedule": (AtomicJSONDataset, "json"),
    "launch_item_vectors": (CheckpointDataset, "safetensors"),
    "launch_item_vectorizer": (CheckpointDataset, "safetensors"),
    "launch_codebook": (CodebookDataset, "safetensors"),
    "launch_item_priors": (AtomicParquetDataset, "parquet"),
    "arriving_items": (CheckpointDataset, "safetensors"),
    "catalogue_changes": (AtomicJSONDataset, "json"),
    "launch_response": (CheckpointDataset, "safetensors"),
}
SETTINGS = CatalogueConfig(schedule="moving", stratum_size=10, best_of=6, references="few")
SID = SidConfig(n_levels=2, vocab_size=8, n_restarts=1, priors={"recency": 1.0})
RATED = SID.model_copy(update={"vectors": ItemVectorConfig(quality_weight=1.0)})
SIMULATOR = make_simulator(1)


def run(
    folder: Path,
    tables: tuple[pd.DataFrame, ...] | None = None,
    schedule: dict[str, Any] | None = None,
    **parameters: Any,
) -> DataCatalog:
    """Run the pipeline with its files in a folder, from the schedule on where one is given."""
    users, items, slates, timeline = make_tables() if tables is None else tables
    chosen = {
        "catalogue": SETTINGS,
        "session": SessionConfig(horizon=6, history_size=8),
        "candidates": CandidatesConfig(),
        "simulator": SimulatorConfig(),
        "sid": SID,
        "seed": 0,
        **parameters,
    }
    given = {
        "dataset_info": INFO,
        "users": users,
        "items": items,
        "slates": slates,
        "timeline": timeline,
        "simulator_train": SIMULATOR,
        **{f"params:{name}": value for name, value in chosen.items()},
    }
    catalog = DataCatalog(
        {
            **{name: MemoryDataset(data, copy_mode="assign") for name, data in given.items()},
            **{
                name: kind(filepath=str(folder / f"{name}.{ending}"))
                for name, (kind, ending) in MADE.items()
            },
        }
    )
    pipeline = create_pipeline()
    if schedule is not None:
        catalog.save("catalogue_schedule", schedule)
        drawing = "moving_catalogue.draw_catalogue_schedule"
        pipeline = pipeline.filter(
            node_names=[node.name for node in pipeline.nodes if node.name != drawing]
        )
    SequentialRunner().run(pipeline, catalog)
    return catalog


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("moving")


@pytest.fixture(scope="module")
def made(folder: Path) -> DataCatalog:
    return run(folder)


def schedule_of(made: DataCatalog) -> CatalogueSchedule:
    return CatalogueSchedule.from_document(made.load("catalogue_schedule"))


def test_the_schedule_says_what_it_was_drawn_from(made: DataCatalog) -> None:
    document = made.load("catalogue_schedule")
    assert document["dataset_version"] == INFO["version"]
    assert document["simulator_train_version"] == SIMULATOR["config"]["version"]
    assert document["settings"]["launch_share"] == 0.7
    assert len(document["launch"]) == 21


def test_nothing_is_published_of_items_that_are_not_launched(made: DataCatalog) -> None:
    launched = schedule_of(made).launched
    vectors = made.load("launch_item_vectors")["state"]["vectors"].numpy()
    codebook = made.load("launch_codebook")

    assert (vectors.any(axis=1) == launched).all()
    assert ((codebook.codes[:, 0] >= 0) == launched).all()
    priors = made.load("launch_item_priors")
    assert not priors["prior"][~launched[priors["item_index"]]].any()


def test_changes_lead_from_the_launch_to_the_last_version(made: DataCatalog) -> None:
    schedule, document = schedule_of(made), made.load("catalogue_changes")
    arriving = Publication.from_state(made.load("arriving_items")["state"])
    catalogue = LiveCatalogue(
        schedule.launched,
        made.load("launch_item_vectors")["state"]["vectors"].numpy(),
        made.load("launch_codebook").codes,
    )
    lives = schedule.live_sets()
    for version, values in zip(document["versions"], document["changes"], strict=False):
        assert (catalogue.version, catalogue.live.tolist()) == (version, next(lives).tolist())
        change = CatalogueChange.from_dict(values)
        new = change.added[~catalogue.published[change.added]]
        catalogue = apply_change(catalogue, change, arriving.select(new), n_needed=SLATE)
    assert catalogue.version == document["versions"][-1]
    assert len(document["versions"]) == 6
    codes = catalogue.codes[catalogue.published]
    assert len(np.unique(codes, axis=0)) == len(codes) == 21 + len(schedule.arrivals)


def test_equal_seeds_give_equal_bytes(made: DataCatalog, folder: Path, tmp_path: Path) -> None:
    run(tmp_path)
    for path in sorted(folder.iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def with_other_withheld_rows(launched: np.ndarray) -> tuple[pd.DataFrame, ...]:
    """Return the tables with other clicks on and other features of items not launched."""
    users, items, slates, _ = make_tables()
    withheld = ~launched[items["item_index"]]
    items["content_length"] = items["content_length"].where(~withheld, 1e3).astype(np.float32)
    items["title"] = items["title"].where(~withheld, "Another title")
    for slot in range(SLATE):
        flipped = ~launched[slates[f"item_{slot}"]]
        slates[f"label_{slot}"] ^= flipped.astype(np.int64)
    labels = slates[[f"label_{slot}" for slot in range(SLATE)]].to_numpy()
    shown = slates[[f"item_{slot}" for slot in range(SLATE)]].to_numpy()
    positives = np.concatenate([[0], labels.sum(axis=1).cumsum()])
    first = slates.groupby("user_index")["slate_index"].transform("min").to_numpy()
    slates["history_start"], slates["history_end"] = positives[first], positives[:-1]
    timeline = pd.DataFrame({"item_index": shown[labels > 0].astype(np.int32)})
    return users, items, slates, timeline


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory, made: DataCatalog) -> tuple[Path, DataCatalog]:
    """The same with quality columns."""
    folder = tmp_path_factory.mktemp("rated")
    return folder, run(folder, schedule=made.load("catalogue_schedule"), sid=RATED)


def test_new_items_have_no_quality_and_semantic_ids_do_not_depend_on_it(
    made: DataCatalog, rated: tuple[Path, DataCatalog]
) -> None:
    launched, vectors = schedule_of(made).launched, rated[1].load("launch_item_vectors")["state"]
    assert not vectors["quality"].numpy()[~launched].any()
    assert vectors["quality"].numpy()[launched].any(axis=1).mean() > 0.9
    assert vectors["vectors"].equal(made.load("launch_item_vectors")["state"]["vectors"])
    codes = [catalog.load("launch_codebook").codes for catalog in (made, rated[1])]
    assert (codes[0] == codes[1]).all()

    plain, arriving = (
        Publication.from_state(catalog.load("arriving_items")["state"])
        for catalog in (made, rated[1])
    )
    assert len(arriving.items)
    assert (arriving.item_vectors[:, :-2] == plain.item_vectors).all()
    assert not arriving.item_vectors[:, -2:].any()
    assert (arriving.codes == plain.codes).all()


@pytest.mark.parametrize("quality", [False, True])
def test_what_is_known_at_launch_does_not_depend_on_withheld_rows(
    made: DataCatalog,
    folder: Path,
    rated: tuple[Path, DataCatalog],
    tmp_path: Path,
    quality: bool,
) -> None:
    folder, chosen = (rated[0], {"sid": RATED}) if quality else (folder, {})
    document = made.load("catalogue_schedule")
    other = with_other_withheld_rows(schedule_of(made).launched)
    assert not other[3].equals(make_tables()[3])
    run(tmp_path, other, document, **chosen)
    for name, (_, ending) in MADE.items():
        same = (tmp_path / f"{name}.{ending}").read_bytes() == (
            folder / f"{name}.{ending}"
        ).read_bytes()
        assert same == (name not in ("arriving_items", "catalogue_changes")), name
    versions = [
        json.loads((at / "catalogue_changes.json").read_text())["versions"]
        for at in (folder, tmp_path)
    ]
    assert versions[0][0] == versions[1][0]
    assert versions[0][1] != versions[1][1]


def test_the_other_arms_have_the_same_launch(made: DataCatalog, tmp_path: Path) -> None:
    releases = run(tmp_path, catalogue=SETTINGS.model_copy(update={"arm": "releases"}))
    assert (schedule_of(releases).launch == schedule_of(made).launch).all()
    assert not len(schedule_of(releases).arrivals)
    assert len(releases.load("catalogue_changes")["versions"]) == 6
    arrivals = run(tmp_path, catalogue=SETTINGS.model_copy(update={"arm": "arrivals"}))
    assert (schedule_of(arrivals).launch == schedule_of(made).launch).all()
    assert not any(len(step.released) for step in schedule_of(arrivals).steps)
    assert arrivals.load("launch_item_vectors")["state"]["vectors"].equal(
        made.load("launch_item_vectors")["state"]["vectors"]
    )


def test_sessions_that_need_more_items_than_are_live_are_refused(tmp_path: Path) -> None:
    once = CandidatesConfig(exclude_shown=True)
    with pytest.raises(UserError, match="21 live items are left, sessions need 60"):
        run(tmp_path, session=SessionConfig(horizon=20, history_size=8), candidates=once)
    assert N_ITEMS == 30
