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
from hsrl_pipeline.simulator.response.personal import PersonalResponse
from hsrl_pipeline.simulator.response.recorded import build_recorded_response


def describe_response_model(
    models: Sequence[AttentionResponse | PersonalResponse] | ConstantResponse,
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the checkpoint of a trained response model.

    Args:
        models: The members of a learned simulator (one or more; either all with tastes of their
            users or none), or the constant one.
        provenance: JSON-able facts about the fit: split, seed, epochs, held-out metrics.

    Returns:
        ``{"config": ..., "state": ...}`` for ``build_response_model`` and ``CheckpointDataset``.
    """
    if isinstance(models, ConstantResponse):
        config: dict[str, Any] = {"kind": "constant", **models.describe()}
        return {"config": {**config, **provenance}, "state": dict(models.state_dict())}
    bases = [model.base if isinstance(model, PersonalResponse) else model for model in models]
    state = {
        f"member_{number}.{name}": tensor.detach()
        for number, base in enumerate(bases)
        for name, tensor in base.state_dict().items()
    }
    sizes = asdict(bases[0].sizes)
    sizes["category_sizes"] = list(sizes["category_sizes"])
    config = {"kind": "learned", "n_members": len(models), "sizes": sizes}
    for number, model in enumerate(models):
        if isinstance(model, PersonalResponse):
            config["user_taste"] = True
            tables = model.tables()
            state |= {f"taste_{number}.{name}": table for name, table in tables.items()}
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
    members: list[UserResponseModel] = []
    for number in range(config["n_members"]):
        base = _build_member(sizes, state, number)
        tastes = _of_member(state, f"taste_{number}.") if config.get("user_taste") else {}
        members.append(PersonalResponse(base, **tastes) if tastes else base)
    model = members[0] if len(members) == 1 else EnsembleResponse(members)
    return model.to(device).freeze()


def _build_member(
    sizes: ResponseSizes, state: Mapping[str, torch.Tensor], number: int
) -> AttentionResponse:
    none = np.zeros(sizes.n_items + 1, dtype=np.int64)
    content, statistics = (
        np.zeros((sizes.n_items + 1, width), dtype=np.float32)
        for width in (sizes.content_size, sizes.statistics_size)
    )
    # Building draws initial weights that are overwritten: keep the caller's random state as it is.
    with torch.random.fork_rng(devices=[]):
        member = AttentionResponse(sizes, content, none, none, statistics)
    try:
        member.load_state_dict(_of_member(state, f"member_{number}."))
    except RuntimeError as error:
        raise UserError(
            "The simulator checkpoint was written by another version of the response model",
            remedy="Run `kedro run --pipeline simulator_training` again.",
        ) from error
    return member


def _of_member(state: Mapping[str, Any], prefix: str) -> dict[str, torch.Tensor]:
    """Return the tensors whose names begin with a prefix, by the rest of their names."""
    return {
        name[len(prefix) :]: torch.as_tensor(value)
        for name, value in state.items()
        if name.startswith(prefix)
    }
