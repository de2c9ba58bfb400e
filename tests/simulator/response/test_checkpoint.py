import pytest
import torch

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.io.checkpoint_dataset import CheckpointDataset
from hsrl_pipeline.simulator.response.checkpoint import (
    build_response_model,
    describe_response_model,
)
from hsrl_pipeline.simulator.response.constant import ConstantResponse
from hsrl_pipeline.simulator.response.ensemble import EnsembleResponse

from .test_attention import make_inputs, make_model


@pytest.fixture
def model():
    model = make_model().eval()
    model.calibrate(0.9, 0.1)
    return model


def test_a_model_survives_the_file(model, tmp_path):
    dataset = CheckpointDataset(filepath=str(tmp_path / "simulator.safetensors"))
    dataset.save(describe_response_model([model], {"role": "train"}))
    checkpoint = dataset.load()
    assert checkpoint["config"]["role"] == "train"
    built = build_response_model(checkpoint)
    assert torch.equal(built.logits(*make_inputs()), model.logits(*make_inputs()))
    assert not built.training
    assert not any(parameter.requires_grad for parameter in built.parameters())


def test_an_ensemble_survives(model):
    other = make_model().eval()
    with torch.no_grad():
        other.items.global_bias += 1.0
    built = build_response_model(describe_response_model([model, other], {}))
    expected = EnsembleResponse([model, other]).logits(*make_inputs())
    assert torch.allclose(built.logits(*make_inputs()), expected, atol=1e-6)


def test_a_constant_survives(tmp_path):
    dataset = CheckpointDataset(filepath=str(tmp_path / "simulator.safetensors"))
    dataset.save(describe_response_model(ConstantResponse(0.3, 5, 4), {}))
    built = build_response_model(dataset.load())
    assert built.log_odds[1:].sigmoid().tolist() == pytest.approx([0.3] * 5)


def test_building_leaves_the_random_state_alone(model):
    checkpoint = describe_response_model([model], {})
    before = torch.random.get_rng_state()
    build_response_model(checkpoint)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_another_checkpoint_is_refused():
    with pytest.raises(UserError, match="simulator_training"):
        build_response_model({"config": {"agent": "hsrl"}, "state": {}})


def test_weights_of_another_version_are_refused(model):
    checkpoint = describe_response_model([model], {})
    del checkpoint["state"]["member_0.base_user"]
    with pytest.raises(UserError, match="another version"):
        build_response_model(checkpoint)
