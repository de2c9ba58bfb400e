"""Node of the agent training pipeline: thin over the library."""

from __future__ import annotations

from typing import Any

import hsrl_pipeline.pipelines.lazy_pandas as pd
from hsrl_pipeline.config.agent import AgentConfig, AgentsConfig
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.config.training import TrainingConfig


def train_policy(
    *,
    dataset_info: dict[str, Any],
    users: pd.DataFrame,
    items: pd.DataFrame,
    slates: pd.DataFrame,
    timeline: pd.DataFrame,
    item_vectors: dict[str, Any],
    codebook: Any,
    item_priors: pd.DataFrame,
    simulator_train: dict[str, Any],
    training_metrics: Any,
    training_checkpoints: Any,
    agent: AgentConfig,
    agents: AgentsConfig,
    training: TrainingConfig,
    session: SessionConfig,
    reward: RewardConfig,
    candidates: CandidatesConfig,
    seed: int,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Train the run's agent in the training simulator.

    Args:
        dataset_info: Sizes of the dataset.
        users: Canonical table.
        items: Canonical table.
        slates: Canonical table; the training split alone is used.
        timeline: Canonical table.
        item_vectors: Checkpoint with ``vectors`` (item, embed) float32.
        codebook: Semantic IDs of the items.
        item_priors: Which of several items under one code is preferred.
        simulator_train: Checkpoint of the training simulator.
        training_metrics: Called with each point of the training curves.
        training_checkpoints: Store of the state to resume from.
        agent: Name of the agent and its overrides.
        agents: Settings of all agents.
        training: Length and batch sizes.
        session: Horizon, patience, history window.
        reward: From clicks to reward.
        candidates: Rules for slates.
        seed: Seed of the run.

    Returns:
        The trained policy as a checkpoint, and the training curves.
    """
    from hsrl_pipeline.device import resolve_device
    from hsrl_pipeline.simulator.session_data import SessionData
    from hsrl_pipeline.training.agent_training import train_agent

    data = SessionData.from_tables(
        dataset_info=dataset_info,
        users=users,
        items=items,
        slates=slates,
        timeline=timeline,
        item_vectors=item_vectors,
        codebook=codebook,
        item_priors=item_priors,
    )
    device = resolve_device(training.device, "training.device")
    return train_agent(
        data,
        simulator_train,
        agents.settings_of(agent, training.learning_rate),
        agent_name=agent.name,
        training=training,
        sessions=data.setting(session, reward, candidates, device),
        seed=seed,
        on_metrics=training_metrics,
        checkpoints=training_checkpoints,
    )
