"""Quality columns beside the item vectors: every agent reads them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hsrl_pipeline.agents.base import AgentContext
from hsrl_pipeline.agents.policy_checkpoint import agent_context, describe_policy, restore_policy
from hsrl_pipeline.agents.registry import build_agent
from hsrl_pipeline.config.agent import AGENT_NAMES
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.seeding import torch_generator
from hsrl_pipeline.simulator.session_data import SessionData

from ..pipelines.offline_eval_inputs import N_ITEMS, make_inputs, make_setting
from .test_conformance import make_context, make_settings, observe


def rated_context(quality: np.ndarray) -> AgentContext:
    context = make_context()
    rows = np.vstack([np.zeros(2), quality]).astype(np.float32)
    return replace(context, item_vectors=np.hstack([context.item_vectors, rows]))


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_what_an_agent_shows_depends_on_the_quality_columns(name: str) -> None:
    quality = np.random.default_rng(0).normal(size=(12, 2))
    observation = observe(100, torch_generator(2, "acting"))
    slates = [
        build_agent(name, make_settings(name), rated_context(columns))
        .act(observation, explore=False)
        .slates
        for columns in (quality, quality, quality[::-1])
    ]
    assert torch.equal(slates[0], slates[1])
    assert not torch.equal(slates[0], slates[2])


TABLES = (
    "dataset_info", "users", "items", "slates", "timeline", "item_vectors", "codebook",
    "item_priors",
)  # fmt: skip


def make_data(quality: np.ndarray | None) -> SessionData:
    inputs = make_inputs()
    if quality is not None:
        inputs["item_vectors"]["state"]["quality"] = torch.from_numpy(quality)
    return SessionData.from_tables(**{name: inputs[name] for name in TABLES})


def test_policies_read_them_and_the_diversity_of_slates_does_not() -> None:
    quality = np.random.default_rng(0).normal(size=(N_ITEMS + 1, 2)).astype(np.float32)
    rated, plain = make_data(quality), make_data(None)
    context = agent_context(rated, make_setting(rated), 0)
    assert (context.item_vectors == np.hstack([plain.item_vectors, quality])).all()
    assert (rated.item_vectors == plain.item_vectors).all()
    without = agent_context(plain, make_setting(plain), 0)
    assert (without.item_vectors == plain.item_vectors).all()

    settings = make_settings("sl")
    policy = describe_policy(build_agent("sl", settings, context), settings, context, {})
    restore_policy(policy, context)
    with pytest.raises(UserError, match="vector_size"):
        restore_policy(policy, without)
