from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.hooks.stale_inputs_hook import StaleInputsHook
from hsrl_pipeline.io.atomic_datasets import AtomicJSONDataset, AtomicParquetDataset
from hsrl_pipeline.io.checkpoint_dataset import CheckpointDataset
from hsrl_pipeline.provenance import with_provenance
from hsrl_pipeline.settings import HOOKS

ASKED = {"env": "ml1m", "runtime_params": {"seed": 2, "agent": {"name": "sl"}}}


def _same(*given):
    return given


TRAIN = node(_same, ["dataset_info", "items", "simulator_train", "params:seed"], "policy")
INGEST = node(_same, ["raw_folder"], ["dataset_info", "items"], name="ingest")
FIDELITY = node(_same, ["simulator_train"], "fidelity")


def simulator(dataset_version):
    return with_provenance({"config": {}, "state": {"w": np.zeros(3)}}, dataset_version)


@pytest.fixture
def catalog(tmp_path):
    items = pd.DataFrame({"item_index": [1]})
    items.attrs["dataset_version"] = "d1"
    catalog = DataCatalog(
        {
            "dataset_info": AtomicJSONDataset(filepath=str(tmp_path / "info.json")),
            "items": AtomicParquetDataset(filepath=str(tmp_path / "items.parquet")),
            "simulator_train": CheckpointDataset(filepath=str(tmp_path / "train.safetensors")),
        }
    )
    catalog.save("dataset_info", {"version": "d1"})
    catalog.save("items", items)
    catalog.save("simulator_train", simulator("d1"))
    return catalog


def test_every_run_of_the_project_is_checked():
    assert StaleInputsHook in {type(hook) for hook in HOOKS}


def test_inputs_that_belong_together_are_accepted(catalog):
    StaleInputsHook().before_pipeline_run(ASKED, Pipeline([TRAIN]), catalog)


def test_stale_inputs_are_refused_before_the_run_and_without_loading_them(catalog, monkeypatch):
    catalog.save("dataset_info", {"version": "d2"})
    for kind in (AtomicParquetDataset, CheckpointDataset):
        monkeypatch.setattr(kind, "load", lambda self: pytest.fail("loaded"))
    with pytest.raises(UserError) as caught:
        StaleInputsHook().before_pipeline_run(ASKED, Pipeline([TRAIN]), catalog)
    assert str(caught.value) == (
        "items, simulator_train were made from dataset version d1, this is d2. Run first: "
        "kedro run --pipelines ingestion,simulator_training --env ml1m "
        "--params seed=2,agent.name=sl"
    )


def test_a_node_that_does_not_ask_for_the_dataset_is_still_checked(catalog):
    catalog.save("dataset_info", {"version": "d2"})
    with pytest.raises(UserError, match="simulator_train was made from dataset version d1"):
        StaleInputsHook().before_pipeline_run({}, Pipeline([FIDELITY]), catalog)


def test_what_the_run_makes_itself_is_compared_when_a_node_has_it(catalog):
    hook = StaleInputsHook()
    catalog.save("dataset_info", {"version": "d9"})
    hook.before_pipeline_run(ASKED, Pipeline([INGEST, TRAIN]), catalog)
    fresh = pd.DataFrame({"item_index": [1, 2]})
    fresh.attrs["dataset_version"] = "d2"
    inputs = {"dataset_info": {"version": "d2"}, "items": fresh, "params:seed": 0}
    hook.before_node_run({**inputs, "simulator_train": simulator("d2")})
    with pytest.raises(UserError, match=r"simulator_train .* --env ml1m --params seed=2"):
        hook.before_node_run({**inputs, "simulator_train": simulator("d1")})


def test_inputs_that_are_not_there_are_another_hooks_business(catalog):
    empty = DataCatalog({"dataset_info": AtomicJSONDataset(filepath="nowhere.json")})
    StaleInputsHook().before_pipeline_run({}, Pipeline([TRAIN]), empty)
    StaleInputsHook().before_node_run({"codebook": SimpleNamespace(version="c")})
