from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from hsrl_pipeline.config.simulator import SimulatorConfig

CONF = Path(__file__).parents[2] / "conf" / "base" / "parameters_simulator_training.yml"


def test_the_file_states_the_defaults():
    parameters = yaml.safe_load(CONF.read_text())["simulator"]
    assert SimulatorConfig.model_validate(parameters) == SimulatorConfig()
    assert SimulatorConfig().model_dump() == parameters


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "random"},
        {"n_members": 0},
        {"holdout_fraction": 0.0},
        {"learning_rate": -1.0},
        {"network": {"embedding_size": 30, "n_heads": 4}},
        {"network": {"history_dropout": 1.0}},
        {"epochs": 3},
    ],
)
def test_bad_values_are_refused(values):
    with pytest.raises(ValidationError):
        SimulatorConfig.model_validate(values)
