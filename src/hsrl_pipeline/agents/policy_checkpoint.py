"""Trained policies to and from checkpoints: what they are, what they fit, their weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from hsrl_pipeline.agents.base import Agent, AgentContext
from hsrl_pipeline.agents.registry import build_agent
from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.config.agent import AgentsConfig
from hsrl_pipeline.config.agents.shared import AgentSettings
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.simulator.session_data import SessionData
from hsrl_pipeline.simulator.session_setting import SessionSetting


def agent_context(data: SessionData, setting: SessionSetting, seed: int) -> AgentContext:
    """Return what an agent may know of the data.

    Args:
        data: Sizes, item vectors, semantic IDs and priors of items.
        setting: Rules of the sessions and the device on which the agent will live.
        seed: Seed of the run.
    """
    return AgentContext(
        n_items=setting.n_items,
        slate_size=setting.slate_size,
        history_size=setting.session.history_size,
        category_sizes=tuple(field.cardinality for field in data.info.category_fields),
        n_dense=len(data.info.dense_fields),
        horizon=setting.session.horizon,
        item_vectors=np.ascontiguousarray(data.policy_vectors, dtype=np.float32),
        codes=np.ascontiguousarray(data.codebook.codes, dtype=np.int64),
        vocab_sizes=tuple(int(size) for size in data.codebook.vocab_sizes),
        device=setting.device,
        seed=seed,
        shelves=setting.shelves,
        item_priors=data.item_priors,
        history=setting.session.history,
    )


def describe_policy(
    agent: Agent,
    settings: AgentSettings,
    context: AgentContext,
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the checkpoint of a trained policy.

    Args:
        agent: The trained agent.
        settings: Settings it was built with.
        context: What it was built for.
        provenance: JSON-able facts to keep with it: dataset, codebook version, iterations.

    Returns:
        ``{"config": ..., "state": ...}`` for ``restore_policy`` and ``CheckpointDataset``.
    """
    config = {
        **provenance,
        **priors_in_use(context),
        "agent": agent.name,
        "seed": context.seed,
        "settings": settings.model_dump(mode="json"),
        "sizes": _sizes(context),
    }
    if agent.catalogue_version is not None:
        config["catalogue_version"] = agent.catalogue_version
        config["launch_version"] = _tables_version(context)
    state = {name: value.detach().cpu() for name, value in agent.policy_state().items()}
    return {"config": config, "state": state}


def restore_policy(
    checkpoint: Mapping[str, Any], context: AgentContext, catalogue: LiveCatalogue | None = None
) -> Agent:
    """Return the agent of a checkpoint, ready to act.

    Args:
        checkpoint: As made by ``describe_policy``.
        context: Item tables and sizes of the same data; its seed does not matter. Where the
            catalogue moves, the tables of the launch.
        catalogue: The version of a moving catalogue that the policy was under at the end of its
            training; ``set_catalogue`` takes it on from there.

    Raises:
        UserError: The checkpoint is no policy, or was trained for other sizes, with other priors
            of items that share a code, or under another version of the catalogue or its launch.
    """
    config = checkpoint["config"]
    remedy = "Run `kedro run --pipeline agent_training` again."
    if "agent" not in config or "settings" not in config:
        raise UserError("The checkpoint holds no trained policy", remedy=remedy)
    sizes = _sizes(context)
    # policies of versions that knew no other form see clicks
    trained_for = {"history": "clicks"} | config["sizes"]
    differing = [
        f"{name} {trained_for.get(name)} instead of {value}"
        for name, value in sizes.items()
        if trained_for.get(name) != value
    ]
    if differing:
        raise UserError(
            f"The trained policy fits other data or settings: {', '.join(differing)}",
            where=f"policy of agent {config['agent']}",
            remedy=remedy,
        )
    if config.get("item_priors_version") != priors_in_use(context).get("item_priors_version"):
        raise UserError(
            "The trained policy chose among the items of one code by other priors",
            where=f"policy of agent {config['agent']}, sid.priors",
            remedy=f"Restore sid.priors and run sid_tokenization, or train again. {remedy}",
        )
    _refuse_other_catalogue(config, context, catalogue)
    agent = _untrained(config, context)
    if catalogue is not None:
        agent.set_catalogue(catalogue)
    agent.load_policy_state(
        {name: torch.as_tensor(value) for name, value in checkpoint["state"].items()}
    )
    return agent


def grow_policy(
    config: Mapping[str, Any],
    state: Mapping[str, torch.Tensor],
    context: AgentContext,
    catalogue: LiveCatalogue,
) -> dict[str, Any]:
    """Return the checkpoint of a policy that knows of more items than it was trained for.

    The further items are not published yet. Their weights are zero until a version publishes
    them, which starts them by the agent's own rule; no other weight changes.

    Args:
        config: As ``describe_policy`` made it, for fewer items.
        state: Weights of the policy, as they are under ``catalogue``.
        context: Tables of the launch with rows for all items.
        catalogue: The version that the policy is under, with rows for all items.
    """
    agent = _untrained(config, context)
    grown = {}
    for name, like in agent.policy_state().items():
        further = [new - old for new, old in zip(like.shape, state[name].shape, strict=True)]
        # torch names the last axis first, and what comes before an axis as well as after it
        padding = [part for count in reversed(further) for part in (0, count)]
        grown[name] = torch.nn.functional.pad(state[name], padding)
    described = {
        **config,
        **priors_in_use(context),
        "sizes": _sizes(context),
        "catalogue_version": catalogue.version,
        "launch_version": _tables_version(context),
    }
    return {"config": described, "state": grown}


def _untrained(config: Mapping[str, Any], context: AgentContext) -> Agent:
    """Return the agent that a policy's config describes, as it is before any training."""
    model = type(getattr(AgentsConfig(), config["agent"]))
    return build_agent(config["agent"], model.model_validate(config["settings"]), context)


def _refuse_other_catalogue(
    config: Mapping[str, Any], context: AgentContext, catalogue: LiveCatalogue | None
) -> None:
    """Refuse a policy that was trained under another version or from another launch."""
    versions = [("catalogue_version", None if catalogue is None else catalogue.version)]
    if "launch_version" in config:
        versions.append(("launch_version", _tables_version(context)))
    differing = [
        f"{name} {config.get(name)} instead of {given}"
        for name, given in versions
        if config.get(name) != given
    ]
    if differing:
        raise UserError(
            f"The trained policy is of another catalogue: {', '.join(differing)}",
            where=f"policy of agent {config['agent']}",
            remedy="Restore it under the version it was trained under, and change to others then.",
        )


def _tables_version(context: AgentContext) -> str:
    """Return the version of a catalogue in which all that the context knows is live."""
    published = np.asarray((context.codes >= 0).all(axis=1))
    return LiveCatalogue(published, context.item_vectors, context.codes).version


def priors_in_use(context: AgentContext) -> dict[str, str]:
    """Return the version of the priors, or nothing where no two items share a code.

    Args:
        context: What the agent is built for.

    Returns:
        ``{"item_priors_version": ...}``, 12 hexadecimal digits, or ``{}``.
    """
    live = context.codes[(context.codes >= 0).all(axis=1)]
    if len(np.unique(live, axis=0)) == len(live):
        return {}
    priors = np.zeros(len(context.codes)) if context.item_priors is None else context.item_priors
    digest = hashlib.sha256(np.ascontiguousarray(priors, dtype="<f4").tobytes())
    return {"item_priors_version": digest.hexdigest()[:12]}


def _sizes(context: AgentContext) -> dict[str, Any]:
    """Return the sizes that weights depend on, as JSON-able values."""
    return {
        "n_items": context.n_items,
        "slate_size": context.slate_size,
        "history_size": context.history_size,
        "category_sizes": list(context.category_sizes),
        "n_dense": context.n_dense,
        "vector_size": int(context.item_vectors.shape[1]),
        "vocab_sizes": list(context.vocab_sizes),
        "history": context.history,
    }
