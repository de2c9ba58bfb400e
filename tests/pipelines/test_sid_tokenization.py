"""The sid_tokenization pipeline on small canonical tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from hsrl_pipeline.config.sid import ItemVectorConfig, SidConfig
from hsrl_pipeline.data.slate_log import DatasetInfo, ItemTable, SlateLog
from hsrl_pipeline.io.checkpoint_dataset import CheckpointDataset
from hsrl_pipeline.io.codebook_dataset import CodebookDataset
from hsrl_pipeline.pipelines.sid_tokenization import create_pipeline
from hsrl_pipeline.provenance import checkpoint_version
from hsrl_pipeline.semantic_ids.item_facts import FactColumns
from hsrl_pipeline.semantic_ids.item_vectorizer import ItemVectorizer
from hsrl_pipeline.semantic_ids.vector_checkpoints import (
    vector_checkpoints,
    vectors_for_policies,
    vectors_of,
)

N_ITEMS, N_USERS, SLATE, N_SLATES = 40, 10, 4, 60

INFO = {
    "dataset": "tiny",
    "slate_size": SLATE,
    "n_items": N_ITEMS,
    "n_users": N_USERS,
    "category_fields": [],
    "dense_fields": [],
    "content_fields": ["length", "year"],
    "vector_size": 0,
    "has_shelves": False,
    "time_unit": "s",
    "n_train_slates": 48,
    "n_test_slates": 12,
    "version": "0123456789ab",
}


def make_tables() -> dict[str, Any]:
    generator = np.random.default_rng(0)
    items = pd.DataFrame(
        {
            "item_index": np.arange(1, N_ITEMS + 1, dtype=np.int32),
            "item_id": [f"id{k}" for k in range(N_ITEMS)],
            "title": [f"Film {k}" for k in range(N_ITEMS)],
            "content_length": generator.standard_normal(N_ITEMS).astype(np.float32),
            "content_year": generator.standard_normal(N_ITEMS).astype(np.float32),
        }
    )
    slates = pd.DataFrame(
        {
            "slate_index": np.arange(N_SLATES, dtype=np.int32),
            "user_index": np.arange(N_SLATES, dtype=np.int32) % N_USERS + 1,
            "timestamp": np.arange(N_SLATES),
            "split": np.where(np.arange(N_SLATES) < 48, "train", "test"),
            "history_start": 0,
            "history_end": 0,
        }
    )
    for position in range(SLATE):
        slates[f"item_{position}"] = generator.integers(1, N_ITEMS + 1, N_SLATES)
        slates[f"label_{position}"] = generator.integers(0, 2, N_SLATES)
    timeline = pd.DataFrame({"item_index": np.zeros(0, np.int32)})
    return {"items": items, "slates": slates, "timeline": timeline, "dataset_info": INFO}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run(tmp_path_factory.mktemp("sid"))


def run(folder: Path, quality_weight: float = 0.0) -> dict[str, Any]:
    """Run the pipeline with its files in a folder; return all that it made."""
    vectors = ItemVectorConfig(quality_weight=quality_weight)
    inputs = {
        **make_tables(),
        "params:sid": SidConfig(n_levels=2, vocab_size=8, n_restarts=1, vectors=vectors),
        "params:seed": 0,
    }
    catalog = DataCatalog(
        {
            **{name: MemoryDataset(data) for name, data in inputs.items()},
            "item_vectors": CheckpointDataset(filepath=str(folder / "vectors.safetensors")),
            "item_vectorizer": CheckpointDataset(filepath=str(folder / "vectorizer.safetensors")),
            "codebook": CodebookDataset(filepath=str(folder / "codebook.safetensors")),
        }
    )
    outputs = SequentialRunner().run(create_pipeline(), catalog)
    kept = {name: catalog.load(name) for name in ("item_vectors", "item_vectorizer", "codebook")}
    return {name: dataset.load() for name, dataset in outputs.items()} | kept


def test_every_item_gets_a_code_of_its_own(results: dict[str, Any]) -> None:
    codebook = results["codebook"]
    items = np.arange(1, N_ITEMS + 1)
    assert codebook.lookup(codebook.codes_of(items)).tolist() == items[:, None].tolist()
    assert codebook.metadata["dataset_version"] == INFO["version"]


def test_each_artifact_says_what_it_was_made_from(results: dict[str, Any]) -> None:
    vectors = results["item_vectors"]["config"]
    assert vectors["dataset_version"] == INFO["version"]
    assert results["codebook"].metadata["item_vectors_version"] == vectors["version"]
    assert vectors["version"] == checkpoint_version(results["item_vectors"])
    assert results["item_priors"].attrs == {"dataset_version": INFO["version"]}


def test_vectors_are_a_checkpoint(results: dict[str, Any]) -> None:
    vectors = results["item_vectors"]["state"]["vectors"]
    assert vectors.shape[0] == N_ITEMS + 1
    assert vectors.numpy().dtype == np.float32
    assert results["item_vectors"]["config"]["settings"]["embedding_size"] == 32


def test_the_transform_on_disk_makes_vectors_of_new_items(results: dict[str, Any]) -> None:
    kept = results["item_vectorizer"]
    assert kept["config"]["item_vectors_version"] == results["item_vectors"]["config"]["version"]
    items = make_tables()["items"]
    facts = FactColumns.from_dict(kept["config"]["facts"]).table(items)
    table = ItemTable.from_frame(items, DatasetInfo.from_dict(INFO))
    made = ItemVectorizer.from_checkpoint(kept).transform(table, np.array([3, 9]), facts)
    assert made.shape == (2, results["item_vectors"]["state"]["vectors"].shape[1])


def test_quality_columns_change_neither_vectors_nor_semantic_ids(
    results: dict[str, Any], tmp_path: Path
) -> None:
    without, rated = results, run(tmp_path, quality_weight=1.0)

    assert set(without["item_vectors"]["state"]) == {"vectors"}
    assert rated["item_vectors"]["state"]["quality"].shape == (N_ITEMS + 1, 2)
    assert (vectors_of(rated["item_vectors"]) == vectors_of(without["item_vectors"])).all()
    assert (rated["codebook"].codes == without["codebook"].codes).all()
    assert rated["sid_diagnostics"] == without["sid_diagnostics"]
    versions = [made["item_vectors"]["config"]["version"] for made in (without, rated)]
    assert versions[0] != versions[1]
    read = vectors_for_policies(rated["item_vectors"])
    assert (read[:, :-2] == vectors_of(without["item_vectors"])).all()
    seen = read[:, -2:].any(axis=1)
    assert seen.sum() == N_ITEMS - 1  # one was never shown
    np.testing.assert_allclose(read[seen, -2:].std(axis=0), 1.0, rtol=1e-4)
    plain = vectors_for_policies(without["item_vectors"])
    assert (plain == vectors_of(without["item_vectors"])).all()


def test_quality_columns_are_of_known_items_alone() -> None:
    tables, known = make_tables(), np.arange(N_ITEMS + 1) > 9
    log = SlateLog.from_frames(tables["slates"], tables["timeline"])
    info = DatasetInfo.from_dict(INFO)
    config = ItemVectorConfig(quality_weight=1.0)
    vectors, _ = vector_checkpoints(tables["items"], log, info, config, seed=0, known=known)
    quality = vectors["state"]["quality"]
    assert not quality[~known].any()
    np.testing.assert_allclose(quality[known].sum(axis=0), 0.0, atol=1e-4)


def test_reports_are_complete(results: dict[str, Any]) -> None:
    assert results["sid_diagnostics"]["unique_share"] == 1.0
    assert results["sid_metrics"]["sid_unique_share"] == 1.0
    assert set(results["sid_comparison"]["variant"]) >= {"in use", "shuffled"}
    assert results["sid_examples"]["title"].str.startswith("Film").all()
    assert results["item_priors"]["item_index"].tolist() == list(range(1, N_ITEMS + 1))
    for name in ("sid_diagnostics_plot", "sid_comparison_plot"):
        assert results[name].axes
