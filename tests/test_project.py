"""The project as Kedro sees it: registry, start-up, catalog."""

import subprocess
import sys
from pathlib import Path

import pytest
from kedro.framework.project import configure_project, pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog

from hsrl_pipeline.pipeline_registry import CHAIN, MOVING_CHAIN, full_node_name, pipeline_that_makes

PROJECT = Path(__file__).parents[1]
FIVE = set(CHAIN)
BESIDE = {"agent_search", "moving_catalogue", "moving_evaluation", "moving_training", "reporting"}
TEN = sorted(FIVE | BESIDE)
LAYERS = (
    "raw",
    "intermediate",
    "primary",
    "feature",
    "model_input",
    "models",
    "model_output",
    "reporting",
)
HEAVY = (
    "torch",
    "mlflow",
    "pandas",
    "pyarrow",
    "sklearn",
    "ibis",
    "duckdb",
    "matplotlib",
    "kedro_datasets",
)

LIST_PIPELINES = f"""
import sys
from kedro.framework.cli.cli import main
sys.argv = ["kedro", "registry", "list"]
try:
    main()
except SystemExit:
    pass
print("imported:", *[name for name in {HEAVY!r} if name in sys.modules])
"""


@pytest.fixture(scope="module", autouse=True)
def project() -> None:
    bootstrap_project(PROJECT)
    configure_project("hsrl_pipeline")


@pytest.fixture(scope="module")
def catalog(project: None) -> DataCatalog:
    with KedroSession.create(PROJECT) as session:
        return session.load_context().catalog


def test_listing_the_pipelines_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIST_PIPELINES],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in TEN:
        assert f"- {name}" in done.stdout
    assert done.stdout.splitlines()[-1].strip() == "imported:"


def test_default_is_the_whole_chain() -> None:
    nodes = {node.name for name in FIVE for node in pipelines[name].nodes}
    assert {node.name for node in pipelines["__default__"].nodes} == nodes


def test_the_chain_has_its_five_pipelines_in_an_order_that_runs() -> None:
    assert list(CHAIN) == [
        "ingestion",
        "sid_tokenization",
        "simulator_training",
        "agent_training",
        "offline_eval",
    ]
    later: set[str] = set()
    for name in reversed(CHAIN):
        assert not later & pipelines[name].inputs(), name
        later |= pipelines[name].all_outputs()


def test_the_chain_of_a_moving_catalogue_runs_in_its_order() -> None:
    assert {node.name for node in pipelines["moving"].nodes} == {
        node.name for name in MOVING_CHAIN for node in pipelines[name].nodes
    }
    later: set[str] = set()
    for name in reversed(MOVING_CHAIN):
        assert not later & pipelines[name].inputs(), name
        later |= pipelines[name].all_outputs()
    assert not pipelines["moving"].inputs() & pipelines["__default__"].all_outputs()


@pytest.mark.parametrize("name", TEN)
def test_kedro_viz_shows_each_pipeline_as_a_box_of_its_name(name: str) -> None:
    assert {node.namespace for node in pipelines[name].nodes} == {name}


def test_namespaces_leave_the_names_of_datasets_and_parameters_alone() -> None:
    named = {dataset for name in TEN for dataset in pipelines[name].datasets()}
    assert {"items", "codebook", "simulator_eval", "params:agent", "params:seed"} <= named
    assert not {dataset for dataset in named if "." in dataset}


def test_a_dataset_names_the_pipeline_that_makes_it() -> None:
    assert pipeline_that_makes("items") == "ingestion"
    assert pipeline_that_makes("simulator_eval") == "simulator_training"
    assert pipeline_that_makes("catalogue_schedule") == "moving_catalogue"
    assert pipeline_that_makes("raw_folder") is None


def test_nodes_can_be_named_without_their_namespace() -> None:
    full = "sid_tokenization.fit_codebook"
    assert full_node_name("fit_codebook") == full_node_name(full) == full
    assert full_node_name("codebook") == "codebook"
    short = [node._name for name in TEN for node in pipelines[name].nodes]
    assert len(set(short)) == len(short)


@pytest.mark.parametrize("name", TEN)
def test_every_hand_over_is_in_the_catalog(catalog: DataCatalog, name: str) -> None:
    named = pipelines[name].datasets()
    unknown = {
        dataset for dataset in named if not dataset.startswith("params:") and dataset not in catalog
    }
    assert not unknown


def test_layers_follow_one_another(catalog: DataCatalog) -> None:
    # Kedro-Viz shows no layer at all when a later one leads back to an earlier one
    place = {}
    for name in pipelines["__default__"].datasets():
        if not name.startswith("params:"):
            metadata = getattr(catalog.get(name), "metadata", None) or {}
            place[name] = LAYERS.index(metadata["kedro-viz"]["layer"])
    for node in pipelines["__default__"].nodes:
        for given in place.keys() & set(node.inputs):
            for made in node.outputs:
                assert place[given] <= place[made], (node.name, given, made)


def test_what_a_node_takes_its_parameters_from_is_typed() -> None:
    import typing

    from pydantic import BaseModel

    for node in pipelines["__default__"].nodes:
        hints = typing.get_type_hints(node.func)
        for name in node.inputs:
            if name.startswith("params:") and name != "params:seed":
                kinds = [kind for kind in hints.values() if isinstance(kind, type)]
                assert any(issubclass(kind, BaseModel) for kind in kinds), node.name
