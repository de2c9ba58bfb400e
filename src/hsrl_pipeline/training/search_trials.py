"""A search trial: training, then greedy sessions of training users, all on one simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from hsrl_pipeline.agents.policy_checkpoint import agent_context, restore_policy
from hsrl_pipeline.config.agents.shared import AgentSettings
from hsrl_pipeline.config.search import SearchConfig
from hsrl_pipeline.config.training import TrainingConfig
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting, evaluate_policy
from hsrl_pipeline.seeding import derive_seed
from hsrl_pipeline.simulator.response.checkpoint import build_response_model
from hsrl_pipeline.simulator.session_data import SessionData
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.training.agent_training import train_agent
from hsrl_pipeline.training.search import proposed_parameters, search_settings


def search_agent(
    data: SessionData,
    simulator: Mapping[str, Any],
    settings: AgentSettings,
    *,
    agent_name: str,
    search: SearchConfig,
    training: TrainingConfig,
    sessions: SessionSetting,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Search an agent's settings; every trial has the same seed, sessions and budget.

    A trial trains and is judged once in each regime of the search.

    Args:
        data: What to train on; only its training split is read.
        simulator: Checkpoint of the training simulator.
        settings: Present settings of the agent.
        agent_name: Registered name of the agent.
        search: Budget.
        training: Batch sizes.
        sessions: Rules of the sessions and the device to train on.
        seed: Seed of the run.

    Returns:
        The table of trials, and the best settings in the form of ``conf``.
    """
    budget = training.model_copy(update={"n_iterations": search.n_iterations, "resume": False})
    response = build_response_model(dict(simulator), sessions.device)
    regimes = search.regimes or (sessions.candidates.regime,)
    settings_of = {
        regime: replace(sessions, candidates=sessions.candidates.in_regime(regime))
        for regime in regimes
    }
    contexts = {regime: agent_context(data, own, seed) for regime, own in settings_of.items()}
    pool = data.pool("train", sessions.session)
    judges = {
        regime: EvaluationSetting(
            pool=pool,
            sessions=own,
            item_vectors=data.item_vectors,
            n_episodes=search.n_episodes,
            seed=derive_seed(seed, "search.judge"),
        )
        for regime, own in settings_of.items()
    }

    def rewards_of(tried: AgentSettings) -> dict[str, float]:
        rewards: dict[str, float] = {}
        for regime, own in settings_of.items():
            checkpoint, _ = train_agent(
                data,
                simulator,
                tried,
                agent_name=agent_name,
                training=budget,
                sessions=own,
                seed=seed,
            )
            policy = restore_policy(checkpoint, contexts[regime])
            judged = evaluate_policy(policy, response, judges[regime])
            rewards[regime] = float(judged.total_reward.mean())
        return rewards

    result = search_settings(agent_name, settings, rewards_of=rewards_of, config=search, seed=seed)
    return result.trials, proposed_parameters(agent_name, result)
