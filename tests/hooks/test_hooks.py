import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.hooks import missing_inputs_hook, timing_hook
from hsrl_pipeline.hooks.missing_inputs_hook import MissingInputsHook
from hsrl_pipeline.hooks.parameters_hook import ParametersHook
from hsrl_pipeline.hooks.results_hook import ResultsHook, results_table
from hsrl_pipeline.hooks.timing_hook import TimingHook
from hsrl_pipeline.hooks.tracking_hook import TrackingHook
from hsrl_pipeline.io.atomic_datasets import (
    AtomicCSVDataset,
    AtomicJSONDataset,
    AtomicParquetDataset,
)
from hsrl_pipeline.settings import CONFIG_LOADER_ARGS
from hsrl_pipeline.tracking.metric_stream import MetricStream
from hsrl_pipeline.tracking.run import active_run, set_active_run
from hsrl_pipeline.tracking.store import open_client

CONF = Path(__file__).parents[2] / "conf"

ROW = {
    "policy": "hsrl",
    "seed": 0,
    "simulator": "eval",
    "regime": "repeats",
    "total_reward": 4.0,
    "total_reward_ci_low": 3.5,
    "total_reward_ci_high": 4.5,
    "depth": 6.0,
    "depth_ci_low": 5.0,
    "depth_ci_high": 7.0,
    "clicks_per_slot": 0.5,
    "coverage": 120,
}


def _same(x):
    return x


def _context(project: Path, dataset: str = "toy") -> SimpleNamespace:
    parameters = OmegaConfigLoader(str(CONF), **CONFIG_LOADER_ARGS)["parameters"]
    parameters["seed"] = 3
    loader = {"globals": {"dataset": dataset}, "parameters": parameters}
    return SimpleNamespace(project_path=project, config_loader=loader)


@pytest.fixture
def chain(monkeypatch) -> dict[str, Pipeline]:
    steps = {
        "ingestion": ("raw", "items", "ingest"),
        "sid_tokenization": ("items", "codebook", "fit"),
        "simulator_training": ("items", "simulator", "simulate"),
        "moving_catalogue": ("simulator", "catalogue_schedule", "draw"),
        "moving_training": ("catalogue_schedule", "timetable_serving", "serve"),
        "moving_evaluation": ("timetable_serving", "moving_summary", "judge_moving"),
        "agent_training": ("codebook", "trained_policy", "train"),
        "offline_eval": ("trained_policy", "summary", "judge"),
    }
    pipelines = {
        namespace: Pipeline([node(_same, given, made, name=name, namespace=namespace)])
        for namespace, (given, made, name) in steps.items()
    }
    monkeypatch.setattr(missing_inputs_hook, "pipelines", pipelines)
    return pipelines


class TestMissingInputs:
    def test_names_what_is_missing_and_the_first_pipeline_to_run(self, chain, tmp_path) -> None:
        catalog = DataCatalog(
            {"trained_policy": AtomicJSONDataset(filepath=str(tmp_path / "policy.json"))}
        )
        asked = {"env": "ml1m", "runtime_params": {"seed": 2, "agent": {"name": "sl"}}}
        with pytest.raises(UserError) as caught:
            MissingInputsHook().before_pipeline_run(asked, chain["offline_eval"], catalog)
        message = str(caught.value)
        assert "needs trained_policy" in message
        assert "policy.json" in message
        assert (
            "kedro run --pipeline agent_training --env ml1m --params seed=2,agent.name=sl"
            in message
        )

    def test_the_earliest_pipeline_comes_first(self, chain) -> None:
        both = chain["agent_training"] + chain["simulator_training"]
        with pytest.raises(UserError, match="--pipeline ingestion"):
            MissingInputsHook().before_pipeline_run({}, both, DataCatalog({}))

    def test_accepts_what_is_there(self, chain) -> None:
        catalog = DataCatalog({"trained_policy": MemoryDataset({})})
        MissingInputsHook().before_pipeline_run({}, chain["offline_eval"], catalog)


def test_time_is_charged_to_the_pipeline_of_each_node(chain, monkeypatch, caplog) -> None:
    now = iter([0.0, 1.0, 1.5, 4.0])
    monkeypatch.setattr(timing_hook.time, "monotonic", lambda: next(now))
    hook = TimingHook()
    hook.before_pipeline_run()
    hook.before_dataset_loaded()
    hook.after_node_run(chain["ingestion"].nodes[0])
    hook.after_dataset_saved(chain["ingestion"].nodes[0])
    hook.after_node_run(chain["offline_eval"].nodes[0])
    with caplog.at_level(logging.INFO):
        hook.after_pipeline_run()
    assert caplog.messages == ["Time by pipeline: ingestion 1.5 s, offline_eval 2.5 s"]


@pytest.fixture(scope="module")
def project(tmp_path_factory, with_store) -> Path:
    return with_store(tmp_path_factory.mktemp("project"))


class TestMovingCatalogue:
    def start(self, chain: Pipeline, **runtime) -> None:
        hook = ParametersHook()
        loader = OmegaConfigLoader(
            str(CONF), env="test", runtime_params=runtime, **CONFIG_LOADER_ARGS
        )
        hook.after_context_created(SimpleNamespace(config_loader=loader))
        hook.before_pipeline_run(chain)

    def test_pipelines_of_a_fixed_catalogue_are_refused(self) -> None:
        moving = {"catalogue": {"schedule": "moving"}}
        with pytest.raises(UserError, match="the catalogue is to move"):
            self.start(Pipeline([node(_same, "items", "trained_policy")]), **moving)
        self.start(Pipeline([node(_same, "items", "timetable_serving")]), **moving)

    def test_shuffled_codes_need_a_name_of_their_own(self) -> None:
        chain = Pipeline([node(_same, "items", "timetable_serving")])
        shuffled = {"catalogue": {"schedule": "moving", "codes": "shuffled"}}
        with pytest.raises(UserError, match="would take the place of the one with published"):
            self.start(chain, **shuffled)
        self.start(chain, **shuffled, agent={"label": "hsrl_shuffled"})


class TestParameters:
    def check(self, conf: Path = CONF, **runtime) -> None:
        loader = OmegaConfigLoader(
            str(conf), env="test", runtime_params=runtime, **CONFIG_LOADER_ARGS
        )
        ParametersHook().after_context_created(SimpleNamespace(config_loader=loader))

    @pytest.mark.parametrize("seed", [1.0, 1e3, True, "1"])
    def test_a_seed_that_is_no_whole_number_names_no_files(self, seed) -> None:
        with pytest.raises(UserError, match=r"parameter 'seed' is .* write a whole number"):
            self.check(seed=seed)

    def test_accepts_what_names_files(self) -> None:
        self.check()
        self.check(seed=2, agent={"name": "td3", "label": "again"})

    def test_a_label_of_null_is_refused_where_it_would_name_files(self) -> None:
        with pytest.raises(UserError, match=r"run is hsrl-seed0, but .* named None-seed0"):
            self.check(agent={"label": None})

    def test_a_seed_of_parameters_yml_is_refused(self, tmp_path) -> None:
        shutil.copytree(CONF, tmp_path / "conf")
        (tmp_path / "conf/test/parameters.yml").write_text("seed: 4\n")
        with pytest.raises(UserError, match=r"run is hsrl-seed4, but .* named hsrl-seed0"):
            self.check(tmp_path / "conf")
        (tmp_path / "conf/test/parameters.yml").unlink()
        (tmp_path / "conf/test/globals.yml").write_text("dataset: toy\nseed: 4\n")
        self.check(tmp_path / "conf")


class TestTracking:
    @pytest.fixture
    def hook(self, project, chain, tmp_path):
        metadata = {"mlflow": {"metrics": True, "artifact": True}}
        figures = AtomicJSONDataset(filepath=str(tmp_path / "figures.json"), metadata=metadata)
        catalog = DataCatalog({"figures": figures, "plain": MemoryDataset()})
        hook = TrackingHook()
        hook.after_context_created(_context(project))
        hook.before_pipeline_run(
            {"pipeline_names": ["agent_training"]}, chain["agent_training"], catalog
        )
        yield SimpleNamespace(
            hook=hook, figures=figures, catalog=catalog, run_id=active_run().run_id
        )
        hook.after_pipeline_run()

    def test_name_experiment_tags_and_parameters(self, project, hook) -> None:
        client = open_client(project)
        run = client.get_run(hook.run_id)
        assert run.info.run_name == "hsrl-seed3"
        assert client.get_experiment(run.info.experiment_id).name == "hsrl/toy"
        assert run.data.tags["dataset"] == "toy"
        assert run.data.tags["agent"] == "hsrl"
        assert run.data.tags["seed"] == "3"
        assert run.data.tags["regime"] == "repeats"
        assert int(run.data.params["training.n_iterations"]) > 0
        agents = {name.split(".")[1] for name in run.data.params if name.startswith("agents.")}
        assert agents == {"hsrl"}

    def test_a_run_names_its_source_its_data_and_its_model(self, project, hook, tmp_path) -> None:
        log = tmp_path / "interactions.parquet"
        pd.DataFrame({"user_id": [1, 2], "label": [0.5, 1.0]}).to_parquet(log)
        info = {"dataset": "toy", "version": "d1", "n_users": 2, "n_items": 3}
        policy = tmp_path / "policy.json"
        metadata = {"mlflow": {"model": True}}
        hook.catalog["interactions"] = AtomicParquetDataset(filepath=str(log))
        hook.catalog["trained_policy"] = AtomicJSONDataset(filepath=str(policy), metadata=metadata)
        hook.catalog["dataset_info"] = MemoryDataset(info)
        made = {"config": {"version": "p1", "dataset_version": "d1"}}
        hook.catalog.save("trained_policy", made)
        hook.hook.after_dataset_saved("trained_policy", made)
        hook.hook.after_dataset_saved("dataset_info", info)
        client = open_client(project)
        run = client.get_run(hook.run_id)
        assert run.data.tags["mlflow.source.name"] == "kedro run"
        assert run.data.tags["commit"]
        (found,) = run.inputs.dataset_inputs
        assert (found.dataset.name, found.dataset.digest) == ("toy", "d1")
        assert json.loads(found.dataset.profile) == {
            "n_users": 2,
            "n_items": 3,
            "n_interactions": 2,
        }
        kinds = {
            column["name"]: column["type"]
            for column in json.loads(found.dataset.schema)["mlflow_colspec"]
        }
        assert kinds == {"user_id": "long", "label": "double"}
        assert found.tags[0].value == "training"
        (output,) = run.outputs.model_outputs
        model = client.get_logged_model(output.model_id)
        assert (model.name, str(model.status)) == ("hsrl-seed3", "READY")
        assert model.tags["version"] == "p1"
        hook.hook.after_dataset_saved("trained_policy", made)  # a second try enters it once
        assert len(client.get_run(hook.run_id).outputs.model_outputs) == 1

    def test_the_catalog_says_what_is_logged(self, project, hook) -> None:
        hook.figures.save({"total_reward": 2.0})
        hook.hook.after_dataset_saved("figures", {"total_reward": 2.0})
        hook.hook.after_dataset_saved("plain", {"ignored": 1.0})
        hook.hook.after_dataset_loaded("codebook", SimpleNamespace(version="v1"))
        client = open_client(project)
        run = client.get_run(hook.run_id)
        assert run.data.metrics == {"total_reward": 2.0}
        assert run.data.tags["codebook_version"] == "v1"
        assert [f.path for f in client.list_artifacts(hook.run_id)] == ["figures.json"]

    def test_a_finished_run(self, project, hook) -> None:
        hook.hook.after_pipeline_run()
        assert open_client(project).get_run(hook.run_id).info.status == "FINISHED"
        assert active_run() is None

    def test_a_failed_run_says_where_and_why(self, project, hook, chain) -> None:
        error = ValueError("loss is NaN")
        stream = MetricStream(active_run())
        stream(7, {"train_reward": 0.5})
        hook.hook.on_node_error(chain["agent_training"].nodes[0], {"stream": stream})
        hook.hook.on_pipeline_error(error)
        run = open_client(project).get_run(hook.run_id)
        assert run.info.status == "FAILED"
        assert run.data.tags["failed_node"] == "agent_training.train"
        assert "loss is NaN" in run.data.tags["error"]
        assert run.data.metrics["train_reward"] == 0.5

    def test_the_last_points_of_a_curve_are_written_with_the_node(self, project, hook) -> None:
        stream = MetricStream(active_run())
        stream(9, {"depth": 3.0})
        hook.hook.after_node_run({"stream": stream, "other": 1})
        points = open_client(project).get_metric_history(hook.run_id, "depth")
        assert [point.step for point in points] == [9]

    def test_without_a_run_nothing_happens(self) -> None:
        set_active_run(None)
        hook = TrackingHook()
        hook.after_dataset_saved("figures", {})
        hook.on_pipeline_error(ValueError())


class TestResults:
    def test_table_puts_the_best_on_the_evaluation_simulator_first(self) -> None:
        eval_rows = [{**ROW, "policy": "random", "total_reward": 1.0}, ROW]
        train_rows = [{**row, "simulator": "train", "total_reward": 9.0} for row in eval_rows]
        table = results_table(pd.DataFrame(train_rows + eval_rows), "toy", "repeats")
        assert list(table.columns[0].cells) == ["hsrl", "random"]
        assert list(table.columns[2].cells) == ["4.00 [3.50, 4.50]", "1.00 [3.50, 4.50]"]
        assert list(table.columns[6].cells) == ["9.000", "9.000"]

    def test_rows_of_other_dataset_versions_are_left_to_the_file(
        self, chain, tmp_path, capsys
    ) -> None:
        both = [ROW, {**ROW, "simulator": "train"}]
        old = [{**row, "policy": "td3", "dataset_version": "d1"} for row in both]
        summary = AtomicCSVDataset(filepath=str(tmp_path / "summary.csv"))
        summary.save(pd.DataFrame([*({**row, "dataset_version": "d2"} for row in both), *old]))
        info = MemoryDataset({"version": "d2"})
        hook = ResultsHook()
        hook.after_context_created(_context(tmp_path))
        catalog = DataCatalog({"summary": summary, "dataset_info": info})
        hook.after_pipeline_run({}, chain["offline_eval"], catalog)
        printed = capsys.readouterr().out
        assert "hsrl" in printed
        assert "0   4.00 [3.50, 4.50]" in printed
        assert printed.count("4.00 [3.50, 4.50]") == 1
        assert "Of other versions of the dataset: 2 rows" in printed

    def test_printed_after_an_evaluation_only(self, chain, tmp_path, capsys) -> None:
        summary = AtomicCSVDataset(filepath=str(tmp_path / "summary.csv"))
        rows = [ROW, {**ROW, "simulator": "train"}]
        without = [{**row, "regime": "no_repeats", "total_reward": 3.0} for row in rows]
        summary.save(pd.DataFrame(rows + without))
        hook = ResultsHook()
        hook.after_context_created(_context(tmp_path))
        catalog = DataCatalog({"summary": summary})
        hook.after_pipeline_run({}, chain["ingestion"], catalog)
        assert capsys.readouterr().out == ""
        hook.after_pipeline_run({"env": "ml1m"}, chain["offline_eval"], catalog)
        printed = capsys.readouterr().out
        once, again = printed.index("(no_repeats)"), printed.index("(repeats)")
        assert once < printed.index("3.00 [3.50, 4.50]") < again
        assert again < printed.index("4.00 [3.50, 4.50]")
        assert "summary.csv" in printed
        assert "kedro run --env ml1m --pipelines agent_training,offline_eval" in printed

    def test_how_alike_both_simulators_order_the_policies_is_told(
        self, chain, tmp_path, capsys
    ) -> None:
        summary = AtomicCSVDataset(filepath=str(tmp_path / "summary.csv"))
        summary.save(pd.DataFrame([ROW, {**ROW, "simulator": "train"}]))
        ends = {"kendall_tau": 0.625, "kendall_tau_ci_low": 0.5, "kendall_tau_ci_high": 0.75}
        current = {"policies": "all", "n_policies": 7, "current": True, **ends}
        agents = {**current, "policies": "agents", "n_policies": 2}
        old = {**current, "n_policies": 9, "current": False}
        hook = ResultsHook()
        hook.after_context_created(_context(tmp_path))
        agreement = MemoryDataset(pd.DataFrame([current, agents, old]))
        catalog = DataCatalog({"summary": summary, "simulator_agreement": agreement})
        hook.after_pipeline_run({}, chain["offline_eval"], catalog)
        printed = capsys.readouterr().out
        told = (
            "Order of the 7 policies, in training against judged: Kendall's tau 0.62 [0.50, 0.75]"
        )
        assert told in printed
        assert printed.count("Kendall's tau") == 1
