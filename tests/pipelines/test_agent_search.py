from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from hsrl_pipeline.config.agent import AgentConfig, AgentsConfig
from hsrl_pipeline.config.agents.sl import SupervisedSettings
from hsrl_pipeline.config.search import SearchConfig
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig
from hsrl_pipeline.config.training import TrainingConfig
from hsrl_pipeline.io.atomic_datasets import AtomicCSVDataset, AtomicJSONDataset
from hsrl_pipeline.pipelines.agent_search import create_pipeline
from hsrl_pipeline.simulator.session_data import SessionData
from hsrl_pipeline.simulator.user_pool import UserPool
from hsrl_pipeline.training.search_trials import search_agent

from .offline_eval_inputs import SESSION, make_inputs, make_setting

NEEDED = [name for name in create_pipeline().inputs() if not name.startswith("params:")]


def test_a_search_writes_its_trials_and_a_proposal_for_conf(tmp_path) -> None:
    parameters = {
        "agent": AgentConfig(name="a2c"),
        "agents": AgentsConfig(sl=SupervisedSettings()),
        "search": SearchConfig(
            n_trials=2, n_iterations=3, n_episodes=4, regimes=("repeats", "no_repeats")
        ),
        "training": TrainingConfig(
            acting_batch_size=4, batch_size=8, warmup_transitions=8, device="cpu"
        ),
        "session": SESSION,
        "reward": RewardConfig(),
        "candidates": CandidatesConfig(),
        "seed": 0,
    }
    inputs = make_inputs()
    random_state = torch.get_rng_state()
    catalog = DataCatalog(
        {
            **{name: MemoryDataset(inputs[name], copy_mode="assign") for name in NEEDED},
            **{f"params:{name}": MemoryDataset(value) for name, value in parameters.items()},
            "search_trials": AtomicCSVDataset(
                filepath=str(tmp_path / "a2c.csv"), save_args={"index": False}
            ),
            "search_proposal": AtomicJSONDataset(filepath=str(tmp_path / "a2c.json")),
        }
    )
    SequentialRunner().run(create_pipeline(), catalog)
    trials = pd.read_csv(tmp_path / "a2c.csv")
    assert trials["trial"].tolist() == [0, 1]
    both = trials[["total_reward_repeats", "total_reward_no_repeats"]]
    assert trials["total_reward"].tolist() == pytest.approx(both.mean(axis=1).tolist())
    assert both["total_reward_repeats"].tolist() != both["total_reward_no_repeats"].tolist()
    proposal = json.loads((tmp_path / "a2c.json").read_text())
    best = trials.loc[trials["total_reward"].idxmax()]
    assert proposal["agents"]["a2c"]["learning_rate"] == best["learning_rate"]
    AgentsConfig.model_validate(proposal["agents"])
    assert torch.equal(random_state, torch.get_rng_state())


def test_trials_start_from_training_rows_alone(monkeypatch) -> None:
    splits = []
    from_log = UserPool.from_log.__func__

    def record(cls, log, users, history_size, history):
        splits.append(bool(log.is_train.all()))
        return from_log(cls, log, users, history_size, history)

    inputs = make_inputs()
    assert (inputs["slates"]["split"] == "test").any()
    data = SessionData.from_tables(
        **{
            name: inputs[name]
            for name in (
                "dataset_info",
                "users",
                "items",
                "slates",
                "timeline",
                "item_vectors",
                "codebook",
            )
        }
    )
    monkeypatch.setattr(UserPool, "from_log", classmethod(record))
    search_agent(
        data,
        inputs["simulator_train"],
        AgentsConfig().a2c,
        agent_name="a2c",
        search=SearchConfig(n_trials=1, n_iterations=1, n_episodes=2),
        training=TrainingConfig(
            acting_batch_size=4, batch_size=8, warmup_transitions=8, device="cpu"
        ),
        sessions=make_setting(data),
        seed=0,
    )
    assert splits
    assert all(splits)


def test_the_evaluation_simulator_is_out_of_reach() -> None:
    assert "simulator_eval" not in create_pipeline().inputs()
    assert "simulator_train" in create_pipeline().inputs()
