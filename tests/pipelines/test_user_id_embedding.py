"""``simulator.user_id_embedding`` through training and evaluation: all read the same users."""

import numpy as np
import pytest

from hsrl_pipeline.config.agent import AgentConfig, AgentsConfig
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.config.simulator import ResponseNetworkConfig, SimulatorConfig
from hsrl_pipeline.config.training import TrainingConfig
from hsrl_pipeline.data.slate_log import DatasetInfo, ItemTable, SlateLog, UserTable
from hsrl_pipeline.evaluation.policy_evaluation import evaluate_agent
from hsrl_pipeline.simulator.response.simulators import fit_simulator
from hsrl_pipeline.simulator.session_data import SessionData
from hsrl_pipeline.training.agent_training import train_agent

from .offline_eval_inputs import INFO, N_USERS, SESSION, make_inputs, make_setting

TABLES = ("dataset_info", "users", "items", "slates", "timeline", "item_vectors", "codebook")


@pytest.fixture(scope="module")
def tables():
    inputs = make_inputs()
    return {name: inputs[name] for name in TABLES}


@pytest.fixture(scope="module")
def simulators(tables):
    info = DatasetInfo.from_dict(INFO)
    config = SimulatorConfig(
        user_taste=False,
        user_id_embedding=True,
        max_epochs=1,
        network=ResponseNetworkConfig(embedding_size=8, n_heads=2, taste_size=2),
    )
    return {
        role: fit_simulator(
            role,
            SlateLog.from_frames(tables["slates"], tables["timeline"]),
            UserTable.from_frame(tables["users"], info),
            ItemTable.from_frame(tables["items"], info),
            config,
            history_size=SESSION.history_size,
            seed=0,
            on_metrics=lambda epoch, figures: None,
        )
        for role in ("train", "eval")
    }


def test_an_agent_is_trained_and_judged_with_the_user_index(tables, simulators):
    data = SessionData.from_tables(**tables)
    policy, _ = train_agent(
        data,
        simulators["train"],
        AgentsConfig().sl,
        agent_name="sl",
        training=TrainingConfig(n_iterations=2),
        sessions=make_setting(data),
        seed=0,
    )
    assert policy["config"]["sizes"]["category_sizes"] == [3, N_USERS + 1]
    tables_of_run = evaluate_agent(
        data,
        simulators,
        policy,
        agent=AgentConfig(name="sl", label="sl_ids"),
        evaluation=EvaluationConfig(
            n_episodes=20, n_resamples=100, split="all", device="cpu", compare_with="random"
        ),
        sessions=make_setting(data),
        seed=0,
    )
    summary = tables_of_run.summary
    assert set(summary.simulator) == {"train", "eval"}
    assert "sl_ids" in set(summary.policy)
    assert "sl" not in set(summary.policy)
    assert np.isfinite(summary.total_reward).all()
