"""Nodes of the moving_training pipeline: thin over the library."""

from __future__ import annotations

from typing import Any

import hsrl_pipeline.pipelines.lazy_pandas as pd
from hsrl_pipeline.catalogue.timetable import Mode
from hsrl_pipeline.config.agent import AgentConfig, AgentsConfig
from hsrl_pipeline.config.catalogue import CatalogueConfig
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.config.training import TrainingConfig


def train_policy_through_changes(
    *,
    dataset_info: dict[str, Any],
    users: pd.DataFrame,
    items: pd.DataFrame,
    slates: pd.DataFrame,
    timeline: pd.DataFrame,
    catalogue_schedule: dict[str, Any],
    launch_item_vectors: dict[str, Any],
    launch_codebook: Any,
    launch_item_priors: pd.DataFrame,
    arriving_items: dict[str, Any],
    catalogue: CatalogueConfig,
    session: SessionConfig,
    candidates: CandidatesConfig,
    reward: RewardConfig,
    seed: int,
    simulator_train: dict[str, Any],
    metrics: Any,
    policies: Any,
    checkpoints: Any,
    agent: AgentConfig,
    agents: AgentsConfig,
    training: TrainingConfig,
    mode: Mode,  # last: Kedro counts the others from the first
) -> dict[str, Any]:
    """Train the run's agent in the training simulator before, while or after the catalogue moves.

    Args:
        dataset_info: Sizes of the dataset.
        users: Canonical table.
        items: Canonical table.
        slates: Canonical table; the training split alone is used, without withheld items.
        timeline: Canonical table.
        catalogue_schedule: Document of the schedule.
        launch_item_vectors: Checkpoint with ``vectors`` (item, embed) float32.
        launch_codebook: Semantic IDs of the launch.
        launch_item_priors: Which of several launch items under one code is preferred.
        arriving_items: Checkpoint of what is published later.
        catalogue: How policies live through the changes, updates after each, codes.
        session: Horizon, patience, history window.
        candidates: Rules for slates.
        reward: From clicks to reward.
        seed: Seed of the run.
        simulator_train: Checkpoint of the training simulator.
        metrics: Called with each point of the training curves.
        policies: Store of the policy at the times of its judging.
        checkpoints: Store of the state to resume from.
        agent: Name of the agent and its overrides.
        agents: Settings of all agents.
        training: Length and batch sizes.
        mode: How the policy lives through the changes; the pipeline binds it, once for each of
            its nodes.

    Returns:
        When the catalogue changed and the policy was kept, with the versions of what it was
        trained on; empty for a mode that was not asked for.
    """
    if mode not in catalogue.modes:
        return {}
    from hsrl_pipeline.catalogue.timetable import after_training, from_scratch, while_training
    from hsrl_pipeline.device import resolve_device
    from hsrl_pipeline.provenance import checkpoint_version
    from hsrl_pipeline.simulator.moving_world import MovingWorld
    from hsrl_pipeline.training.moving_training import retrain_after_changes, train_through_changes

    world = MovingWorld.from_tables(
        dataset_info=dataset_info,
        users=users,
        items=items,
        slates=slates,
        timeline=timeline,
        catalogue_schedule=catalogue_schedule,
        launch_item_vectors=launch_item_vectors,
        launch_codebook=launch_codebook,
        launch_item_priors=launch_item_priors,
        arriving_items=arriving_items,
        catalogue=catalogue,
        session=session,
        candidates=candidates,
        seed=seed,
    )
    updates, n_changes = catalogue.updates_after_change, len(world.schedule.steps)
    if mode == "training":
        timetable = while_training(world.schedule, training.n_iterations, updates)
    elif mode == "serving":
        timetable = after_training(n_changes, training.n_iterations, updates)
    else:
        budget = catalogue.retraining_budget
        timetable = from_scratch(n_changes, training.n_iterations, updates, budget)
    device = resolve_device(training.device, "training.device")
    train = retrain_after_changes if mode == "retraining" else train_through_changes
    train(
        world,
        simulator_train,
        agents.settings_of(agent, training.learning_rate),
        timetable,
        agent_name=agent.name,
        training=training,
        sessions=world.data.setting(session, reward, candidates, device),
        seed=seed,
        snapshots=policies,
        on_metrics=metrics,
        checkpoints=checkpoints,
    )
    return {
        **timetable.to_dict(),
        "dataset_version": world.data.info.version,
        "catalogue_schedule_version": world.schedule.version,
        "item_vectors_version": world.data.item_vectors_version,
        "codebook_version": launch_codebook.version,
        "simulator_train_version": checkpoint_version(simulator_train),
    }
