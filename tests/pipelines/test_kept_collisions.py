"""Training and evaluation where items share codes (``sid.collisions: keep``)."""

import numpy as np
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from hsrl_pipeline.config.agent import AgentConfig, AgentsConfig
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig
from hsrl_pipeline.config.training import TrainingConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.evaluation.kept_rollouts import NOTHING_KEPT
from hsrl_pipeline.pipelines import agent_training, offline_eval

from .offline_eval_inputs import N_ITEMS, SESSION, SLATE, make_inputs

PREFERRED = np.arange(1, N_ITEMS + 1) % 3 == 0
"""One item of each code, which three items share."""

LARGE = np.where(PREFERRED, 8.0, 0.0)


def run(pipeline, inputs, name, cap=None):
    """Run a pipeline in memory and return all that it made."""
    small = {"n_iterations": 6, "acting_batch_size": 4, "batch_size": 8, "warmup_transitions": 8,
             "metrics_every": 3, "checkpoint_every": 3, "device": "cpu"}  # fmt: skip
    parameters = {
        "agent": AgentConfig(name=name),
        "agents": AgentsConfig.model_validate({"hsrl": {"warm_start_iterations": 3}}),
        "training": TrainingConfig(**small),
        "evaluation": EvaluationConfig(n_episodes=40, n_resamples=100, split="all", device="cpu"),
        "session": SESSION,
        "reward": RewardConfig(),
        "candidates": CandidatesConfig(frequency_cap=cap),
        "seed": 0,
    }
    given = {
        **inputs,
        "training_metrics": lambda step, figures: None,
        "training_checkpoints": None,
        "reference_records": NOTHING_KEPT,
        **{f"params:{key}": value for key, value in parameters.items()},
    }
    catalog = DataCatalog(
        {key: MemoryDataset(value, copy_mode="assign") for key, value in given.items()}
    )
    made = SequentialRunner().run(pipeline, catalog)
    return {key: dataset.load() for key, dataset in made.items()}


@pytest.mark.parametrize("name", ["hsrl", "hsrl_paper"])
def test_evaluation_shows_the_preferred_item_of_each_code(name):
    inputs = make_inputs(items_per_code=3, priors=LARGE)
    inputs |= run(agent_training.create_pipeline(), inputs, name)
    tables = run(offline_eval.create_pipeline(), inputs, name)
    summary = tables["summary"].set_index(["policy", "simulator"])
    # ten codes have one preferred item each
    assert SLATE <= summary.loc[(name, "eval"), "coverage"] <= PREFERRED.sum()
    inputs["item_priors"] = inputs["item_priors"].assign(prior=np.float32(0.0))
    with pytest.raises(UserError, match="by other priors"):
        run(offline_eval.create_pipeline(), inputs, name)


@pytest.mark.parametrize("name", ["hsrl", "hsrl_paper"])
def test_nobody_shows_an_item_more_often_than_the_cap(name):
    inputs = make_inputs(items_per_code=3, priors=LARGE)
    shown = {}
    for cap in (None, 1):
        inputs |= run(agent_training.create_pipeline(), inputs, name, cap)
        tables = run(offline_eval.create_pipeline(), inputs, name, cap)
        shown[cap] = tables["summary"].set_index(["policy", "simulator"])["repetition_rate"]
    assert shown[None][name, "eval"] > 0.0
    assert len(shown[1]) == len(shown[None]) and (shown[1] == 0.0).all()
