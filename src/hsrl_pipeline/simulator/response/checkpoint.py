"""User response models to and from checkpoints: a JSON-able config and named tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.simulator.response.attention import AttentionResponse, ResponseSizes
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.response.constant import ConstantResponse
from hsrl_pipeline.simulator.response.ensemble import EnsembleResponse
from hsrl_pipeline.simulator.response.recorded import build_recorded_response


def describe_response_model(
    models: Sequence[AttentionResponse] | ConstantResponse, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the checkpoint of a trained response model.

    Args:
        models: The members of a learned simulator (one or more), or the constant one.
        provenance: JSON-able facts about the fit: split, seed, epochs, held-out metrics.

    Returns:
        ``{"config": ..., "state": ...}`` for ``build_response_model`` and ``CheckpointDataset``.
    """
    if isinstance(models, ConstantResponse):
        config: dict[str, Any] = {"kind": "constant", **models.describe()}
        return {"config": {**config, **provenance}, "state": dict(models.state_dict())}
    state = {
        f"member_{number}.{name}": tensor.detach()
        for number, model in enumerate(models)
        for name, tensor in model.state_dict().items()
    }
    sizes = asdict(models[0].sizes)
    sizes["category_sizes"] = list(sizes["category_sizes"])
    config = {"kind": "learned", "n_members": len(models), "sizes": sizes}
    return {"config": {**config, **provenance}, "state": state}


def build_response_model(
    checkpoint: Mapping[str, Any], device: str | torch.device = "cpu"
) -> UserResponseModel:
    """Return the response model of a checkpoint: evaluation mode, no gradient, frozen tables.

    Args:
        checkpoint: ``{"config": ..., "state": ...}`` as ``describe_response_model`` makes it.
        device: Where the model shall live.

    Raises:
        UserError: The checkpoint is not that of a response model.
    """
    config, state = checkpoint["config"], checkpoint["state"]
    kind = config.get("kind")
    if kind == "constant":
        constant = ConstantResponse(**{key: config[key] for key in ConstantResponse.FIELDS})
        return constant.to(device).freeze()
    if kind == "recorded":
        return build_recorded_response(checkpoint).to(device).freeze()
    if kind != "learned":
        raise UserError(
            "The checkpoint holds no user response model",
            remedy="Run `kedro run --pipeline simulator_training` first.",
        )
    sizes = ResponseSizes(
        **{**config["sizes"], "category_sizes": tuple(config["sizes"]["category_sizes"])}
    )
    members = [_build_member(sizes, state, number) for number in range(config["n_members"])]
    model: UserResponseModel = members[0] if len(members) == 1 else EnsembleResponse(members)
    return model.to(device).freeze()


def _build_member(
    sizes: ResponseSizes, state: Mapping[str, torch.Tensor], number: int
) -> AttentionResponse:
    prefix = f"member_{number}."
    none = np.zeros(sizes.n_items + 1, dtype=np.int64)
    content, statistics = (
        np.zeros((sizes.n_items + 1, width), dtype=np.float32)
        for width in (sizes.content_size, sizes.statistics_size)
    )
    # Building draws initial weights that are overwritten: keep the caller's random state as it is.
    with torch.random.fork_rng(devices=[]):
        member = AttentionResponse(sizes, content, none, none, statistics)
    own = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    try:
        member.load_state_dict({name: torch.as_tensor(value) for name, value in own.items()})
    except RuntimeError as error:
        raise UserError(
            "The simulator checkpoint was written by another version of the response model",
            remedy="Run `kedro run --pipeline simulator_training` again.",
        ) from error
    return member
