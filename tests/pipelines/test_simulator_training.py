import inspect

import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner
from kedro.validation.type_extractor import TypeExtractor

from hsrl_pipeline.config.session import SessionConfig
from hsrl_pipeline.config.simulator import ResponseNetworkConfig, SimulatorConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.io.atomic_datasets import AtomicCSVDataset, AtomicJSONDataset
from hsrl_pipeline.io.checkpoint_dataset import CheckpointDataset
from hsrl_pipeline.io.figure_dataset import AtomicFigureDataset
from hsrl_pipeline.pipelines.simulator_training import create_pipeline
from hsrl_pipeline.pipelines.simulator_training.nodes import fit_user_simulator
from hsrl_pipeline.provenance import checkpoint_version
from hsrl_pipeline.simulator.response.checkpoint import build_response_model

from .offline_eval_inputs import INFO, N_ITEMS, make_tables

TABLES = ("fidelity", "reliability", "slate_clicks", "popularity", "selection")
PLOTS = ("reliability_plot", "slate_clicks_plot", "popularity_plot")
CONFIG = SimulatorConfig(
    user_taste=False,
    network=ResponseNetworkConfig(embedding_size=8, n_heads=2, taste_size=4),
    max_epochs=2,
)


NOBODY = pd.DataFrame({"user_index": [], "item_index": [], "label": []})
NO_PAIRS = pd.DataFrame({"user_index": [], "item_index": [], "propensity": []})


def run(folder, config=CONFIG, recorded_answers=NOBODY, propensities=NO_PAIRS):
    """Run the pipeline with its files in a folder; return the catalog and the curves."""
    curves = []
    users, items, slates, timeline = make_tables()
    parameters = {"simulator": config, "session": SessionConfig(history_size=8), "seed": 0}
    catalog = DataCatalog(
        {
            **{
                name: MemoryDataset(value, copy_mode="assign")
                for name, value in {
                    "users": users,
                    "items": items,
                    "slates": slates,
                    "timeline": timeline,
                    "dataset_info": INFO,
                    "recorded_answers": recorded_answers,
                    "propensities": propensities,
                    "simulator_curves": lambda step, figures: curves.append((step, figures)),
                }.items()
            },
            **{f"params:{name}": MemoryDataset(value) for name, value in parameters.items()},
            **{
                f"simulator_{role}": CheckpointDataset(filepath=str(folder / f"{role}.safetensors"))
                for role in ("train", "eval")
            },
            **{
                f"simulator_{name}": AtomicCSVDataset(
                    filepath=str(folder / f"{name}.csv"), save_args={"index": False}
                )
                for name in TABLES
            },
            **{
                f"simulator_{name}": AtomicFigureDataset(filepath=str(folder / f"{name}.png"))
                for name in PLOTS
            },
            "simulator_selection_metrics": MemoryDataset(),
            "simulator_metrics": AtomicJSONDataset(filepath=str(folder / "metrics.json")),
        }
    )
    SequentialRunner().run(create_pipeline(), catalog)
    return catalog, curves


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("simulators")


@pytest.fixture(scope="module")
def outcome(folder):
    return run(folder)


def test_both_simulators_are_handed_over(outcome):
    for role in ("train", "eval"):
        checkpoint = outcome[0].load(f"simulator_{role}")
        assert checkpoint["config"]["role"] == role
        assert build_response_model(checkpoint).n_items == N_ITEMS
        assert checkpoint["config"]["dataset_version"] == INFO["version"]
        assert checkpoint["config"]["version"] == checkpoint_version(checkpoint)


def test_the_report_is_complete(outcome, folder):
    scores = outcome[0].load("simulator_fidelity")
    assert set(scores.split) == {"train", "test", "latest"}
    assert scores.loc[scores.split == "test", "log_loss"].notna().all()
    assert all((folder / f"{name}.png").stat().st_size for name in PLOTS)
    assert outcome[0].load("simulator_metrics")["simulator_train_test_log_loss"] > 0


def test_curves_of_both_fits_are_sent(outcome):
    names = {name for _, figures in outcome[1] for name in figures}
    assert {"simulator_train_loss", "simulator_eval_loss"} <= names


def test_a_second_run_gives_the_same_bytes(outcome, folder, tmp_path):
    run(tmp_path)
    for path in sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.csv")):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_constant_ablation_changes_the_training_simulator_alone(tmp_path):
    catalog, _ = run(tmp_path, CONFIG.model_copy(update={"kind": "constant"}))
    assert catalog.load("simulator_train")["config"]["kind"] == "constant"
    assert catalog.load("simulator_eval")["config"]["kind"] == "learned"


RECORDED = CONFIG.model_copy(update={"eval": "recorded"})


def complete_answers(users):
    """Return answers of some users to every item: those that divide by the user are liked."""
    pairs = [(user, item) for user in users for item in range(1, N_ITEMS + 1)]
    table = pd.DataFrame(pairs, columns=["user_index", "item_index"])
    return table.assign(label=(table["item_index"] % table["user_index"] == 0).astype("int8"))


def test_recorded_answers_change_the_evaluation_simulator_alone(outcome, folder, tmp_path):
    catalog, _ = run(tmp_path, RECORDED, complete_answers([7, 8]))
    train = (tmp_path / "train.safetensors").read_bytes()
    assert train == (folder / "train.safetensors").read_bytes()
    assert catalog.load("simulator_eval")["config"]["kind"] == "recorded"
    scores = catalog.load("simulator_fidelity")
    assert set(scores["simulator"]) == {"train"}
    assert scores.loc[scores["split"] == "recorded", "auc"].notna().all()


def test_the_recorded_judge_needs_answers(tmp_path):
    with pytest.raises(UserError, match="nobody's answers are recorded"):
        run(tmp_path, RECORDED)


def test_kedro_finds_types_and_code_of_the_function_that_both_fits_share():
    nodes = {node._name: node for node in create_pipeline().nodes}
    fits = [nodes[f"fit_{role}_simulator"] for role in ("training", "evaluation")]
    assert [node.outputs for node in fits] == [["simulator_train"], ["simulator_eval"]]
    for node in fits:
        assert inspect.unwrap(node.func) is fit_user_simulator
    types = TypeExtractor({"fits": Pipeline(fits)}).extract_types_from_pipelines()
    assert types == {"simulator": SimulatorConfig, "session": SessionConfig}
