"""Node of the hyper-parameter search: thin over the library."""

from __future__ import annotations

from typing import Any

import hsrl_pipeline.pipelines.lazy_pandas as pd
from hsrl_pipeline.config.agent import AgentConfig, AgentsConfig
from hsrl_pipeline.config.search import SearchConfig
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.config.training import TrainingConfig


def search_agent_settings(
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
    agent: AgentConfig,
    agents: AgentsConfig,
    search: SearchConfig,
    training: TrainingConfig,
    session: SessionConfig,
    reward: RewardConfig,
    candidates: CandidatesConfig,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Search the settings of the run's agent on the training simulator.

    Args:
        dataset_info: Sizes of the dataset.
        users: Canonical table.
        items: Canonical table.
        slates: Canonical table; the training split alone is used.
        timeline: Canonical table.
        item_vectors: Checkpoint with ``vectors`` (item, embed) float32.
        codebook: Semantic IDs of the items.
        item_priors: Which of several items under one code is preferred.
        simulator_train: Checkpoint of the training simulator; the evaluation one is never seen.
        agent: Name of the agent and its overrides.
        agents: Present settings of all agents.
        search: Budget, the same for every agent.
        training: Batch sizes; the number of iterations is the search's own.
        session: Horizon, patience, history window.
        reward: From clicks to reward.
        candidates: Rules for slates.
        seed: Seed of the run.

    Returns:
        The table of trials, and the best settings in the form of ``conf``.
    """
    from hsrl_pipeline.device import resolve_device
    from hsrl_pipeline.simulator.session_data import SessionData
    from hsrl_pipeline.training.search_trials import search_agent

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
    return search_agent(
        data,
        simulator_train,
        agents.settings_of(agent, training.learning_rate),
        agent_name=agent.name,
        search=search,
        training=training,
        sessions=data.setting(session, reward, candidates, device),
        seed=seed,
    )
