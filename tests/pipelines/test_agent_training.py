from pathlib import Path

import numpy as np
import pytest
import torch
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.runner import SequentialRunner

from hsrl_pipeline.agents.policy_checkpoint import agent_context, restore_policy
from hsrl_pipeline.config.agent import AGENT_NAMES, AgentConfig, AgentsConfig
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig
from hsrl_pipeline.config.training import TrainingConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.io.atomic_datasets import AtomicParquetDataset
from hsrl_pipeline.io.checkpoint_dataset import CheckpointDataset
from hsrl_pipeline.io.training_checkpoint_dataset import TrainingCheckpointDataset
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.pipelines.agent_training import create_pipeline
from hsrl_pipeline.settings import CONFIG_LOADER_ARGS
from hsrl_pipeline.simulator.session_data import SessionData

from .offline_eval_inputs import (
    INFO,
    N_ITEMS,
    SESSION,
    SLATE,
    make_inputs,
    make_setting,
    make_simulator,
)

CONF = Path(__file__).parents[2] / "conf"
NEEDED = (
    "dataset_info", "users", "items", "slates", "timeline", "item_vectors", "codebook",
    "item_priors", "simulator_train",
)  # fmt: skip


def run(folder, name="hsrl", seed=0, agents=None, session=SESSION, **training):
    """Run the pipeline with its files in a folder; return the catalog and the points sent."""
    small = {"n_iterations": 8, "acting_batch_size": 4, "batch_size": 8, "warmup_transitions": 8,
             "metrics_every": 4, "checkpoint_every": 4, "device": "cpu"}  # fmt: skip
    parameters = {
        "agent": AgentConfig(name=name),
        "agents": agents or AgentsConfig(hsrl=HsrlSettings(warm_start_iterations=4)),
        "training": TrainingConfig(**(small | training)),
        "session": session,
        "reward": RewardConfig(),
        "candidates": CandidatesConfig(),
        "seed": seed,
    }
    points = []
    inputs = make_inputs()
    catalog = DataCatalog(
        {
            **{key: MemoryDataset(inputs[key], copy_mode="assign") for key in NEEDED},
            **{f"params:{key}": MemoryDataset(value) for key, value in parameters.items()},
            "training_metrics": MemoryDataset(
                lambda step, figures: points.append((step, dict(figures))), copy_mode="assign"
            ),
            "training_checkpoints": TrainingCheckpointDataset(filepath=str(folder / "run.pt")),
            "trained_policy": CheckpointDataset(filepath=str(folder / "policy.safetensors")),
            "training_history": AtomicParquetDataset(filepath=str(folder / "history.parquet")),
        }
    )
    SequentialRunner().run(create_pipeline(), catalog)
    return catalog, points


def make_context(seed=9):
    inputs = make_inputs()
    data = SessionData.from_tables(**{name: inputs[name] for name in NEEDED[:-1]})
    return agent_context(data, make_setting(data), seed)


@pytest.mark.parametrize("name", ["hsrl", "hsrl_paper", "sl"])
def test_a_trained_policy_can_be_put_to_use(tmp_path, name):
    catalog, points = run(tmp_path, name)
    checkpoint = catalog.load("trained_policy")
    config = checkpoint["config"]
    assert (config["agent"], config["seed"], config["codebook_version"]) == (name, 0, "c0deb00c")
    assert config["dataset_version"] == INFO["version"]
    for source in ("item_vectors", "simulator_train"):
        made_from = make_inputs()[source]["config"]["version"]
        assert config[f"{source}_version"] == made_from
    history = catalog.load("training_history")
    assert history["iteration"].tolist() == [4, 8] == [step for step, _ in points]
    policy = restore_policy(checkpoint, make_context())
    observation = Observation(
        torch.ones(3, 1, dtype=torch.int64), torch.zeros(3, 1),
        torch.zeros(3, SESSION.history_size, dtype=torch.int64), torch.zeros(3, dtype=torch.int64),
    )  # fmt: skip
    slates = policy.act(observation, explore=False).slates
    assert slates.shape == (3, SLATE)
    assert slates.min() >= 1 and slates.max() <= N_ITEMS


@pytest.mark.parametrize("source", ["dataset", "item_vectors", "codebook", "simulator_train"])
def test_training_does_not_resume_on_other_data(tmp_path, monkeypatch, source):
    run(tmp_path)
    inputs = make_inputs()
    if source == "dataset":
        inputs["dataset_info"] = {**INFO, "version": "new"}
    elif source == "codebook":
        inputs["codebook"].version = "new"
    elif source == "item_vectors":
        inputs["item_vectors"]["config"]["version"] = "new"
    else:
        inputs["simulator_train"]["config"]["seed"] = 99
    monkeypatch.setattr(f"{__name__}.make_inputs", lambda: inputs)
    with pytest.raises(UserError, match=rf"other settings: {source}_version \(was .*, is"):
        run(tmp_path, resume=True, n_iterations=12)


def test_equal_seeds_write_equal_policies_and_resume_ends_like_the_unbroken_run(tmp_path):
    first, _ = run(tmp_path / "a")
    second, _ = run(tmp_path / "b")
    run(tmp_path / "c", n_iterations=4)
    resumed, points = run(tmp_path / "c", resume=True)
    states = [catalog.load("trained_policy")["state"] for catalog in (first, second, resumed)]
    for name, weight in states[0].items():
        assert torch.equal(weight, states[1][name]) and torch.equal(weight, states[2][name])
    assert [step for step, _ in points] == [8]
    assert resumed.load("training_history")["iteration"].tolist() == [4, 8]


PENALISED = {"feedback": "expected", "disagreement_penalty": 1.0}


def two_members(monkeypatch):
    inputs = {**make_inputs(), "simulator_train": make_simulator(1, n_members=2)}
    monkeypatch.setattr(f"{__name__}.make_inputs", lambda: inputs)


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_a_penalty_on_disagreement_reaches_every_agent_that_learns_from_sessions(
    tmp_path, monkeypatch, name
):
    two_members(monkeypatch)
    states = [
        run(tmp_path, name, **options)[0].load("trained_policy")["state"]
        for options in ({"feedback": "expected"}, PENALISED)
    ]
    same = all(torch.equal(weight, states[1][key]) for key, weight in states[0].items())
    assert same == (name == "sl")


def test_a_penalised_run_resumes_like_the_unbroken_one_and_under_no_other_penalty(
    tmp_path, monkeypatch
):
    two_members(monkeypatch)
    whole, _ = run(tmp_path / "whole", "a2c", **PENALISED)
    run(tmp_path / "killed", "a2c", n_iterations=4, **PENALISED)
    with pytest.raises(UserError, match=r"training\.disagreement_penalty \(was 1\.0, is 2\.0\)"):
        run(tmp_path / "killed", "a2c", resume=True, **{**PENALISED, "disagreement_penalty": 2.0})
    resumed, _ = run(tmp_path / "killed", "a2c", resume=True, **PENALISED)
    states = [catalog.load("trained_policy")["state"] for catalog in (whole, resumed)]
    for key, weight in states[0].items():
        assert torch.equal(weight, states[1][key]), key


def test_a_penalty_with_a_simulator_of_one_member_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match=r"no members that could disagree \(simulator_train\)") as e:
        run(tmp_path, **PENALISED)
    assert "kedro run --pipeline simulator_training" in str(e.value)


def test_other_settings_do_not_resume(tmp_path):
    run(tmp_path, n_iterations=4)
    other = AgentsConfig(hsrl=HsrlSettings(warm_start_iterations=4, entropy_coef=0.5))
    named = r"agents\.hsrl\.entropy_coef \(was 0\.05, is 0\.5\)"
    with pytest.raises(UserError, match=named):
        run(tmp_path, resume=True, agents=other)


def test_a_policy_of_other_sizes_is_refused(tmp_path):
    checkpoint = run(tmp_path)[0].load("trained_policy")
    checkpoint["config"]["sizes"]["n_items"] = 31
    with pytest.raises(UserError, match="n_items 31 instead of 30"):
        restore_policy(checkpoint, make_context())
    with pytest.raises(UserError, match="no trained policy"):
        restore_policy({"config": {}, "state": {}}, make_context())


def test_a_run_with_responses_resumes_and_its_policy_fits_that_form_alone(tmp_path):
    reading = SESSION.model_copy(update={"history": "responses"})
    unbroken = run(tmp_path / "a", session=reading)[0].load("trained_policy")
    run(tmp_path / "b", session=reading, n_iterations=4)
    resumed = run(tmp_path / "b", session=reading, resume=True)[0].load("trained_policy")
    assert all(torch.equal(unbroken["state"][name], w) for name, w in resumed["state"].items())
    with pytest.raises(UserError, match=r"session\.history \(was \"responses\", is null\)"):
        run(tmp_path / "b", resume=True)
    with pytest.raises(UserError, match="history responses instead of clicks"):
        restore_policy(resumed, make_context())
    older = run(tmp_path / "c")[0].load("trained_policy")
    del older["config"]["sizes"]["history"]
    restore_policy(older, make_context())


def test_checkpoint_entry_is_for_loading_alone(tmp_path):
    dataset = TrainingCheckpointDataset(filepath=str(tmp_path / "x.pt"))
    assert dataset.exists() and dataset.load().load() is None
    assert "x.pt" in str(dataset)
    with pytest.raises(DatasetError, match="written by the training loop"):
        dataset.save(object())


def test_shipped_parameters_are_the_defaults_and_valid():
    loader = OmegaConfigLoader(str(CONF), **(CONFIG_LOADER_ARGS | {"default_run_env": "base"}))
    parameters = loader["parameters"]
    agents = AgentsConfig(**parameters["agents"])
    assert agents.hsrl == HsrlSettings()
    assert agents.hsrl_paper == AgentsConfig().hsrl_paper
    assert TrainingConfig(**parameters["training"]) == TrainingConfig()
    assert AgentConfig(**parameters["agent"]) == AgentConfig()
    files = {
        name: entry["filepath"]
        for name, entry in loader["catalog"].items()
        if name in ("trained_policy", "training_history", "training_checkpoints")
    }
    assert {Path(path).parent.name for path in files.values()} == {"hsrl-seed0"}
    assert np.unique([Path(path).name for path in files.values()]).size == 3
