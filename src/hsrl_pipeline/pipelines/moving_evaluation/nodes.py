"""Nodes of the moving_evaluation pipeline: thin over the library."""

from __future__ import annotations

from typing import Any

import hsrl_pipeline.pipelines.lazy_pandas as pd
from hsrl_pipeline.config.agent import AgentConfig
from hsrl_pipeline.config.catalogue import CatalogueConfig
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig


def judge_moving_policies(
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
    launch_response: dict[str, Any],
    simulator_train: dict[str, Any],
    simulator_eval: dict[str, Any],
    timetable_training: dict[str, Any],
    timetable_serving: dict[str, Any],
    timetable_retraining: dict[str, Any],
    policies_training: Any,
    policies_serving: Any,
    policies_retraining: Any,
    synthetic_truth: dict[str, Any],
    reference_records: Any,
    moving_metrics: Any,
    agent: AgentConfig,
    evaluation: EvaluationConfig,
) -> dict[str, Any]:
    """Roll the run's policies and the references out under every version of the catalogue.

    Args:
        dataset_info: Sizes of the dataset.
        users: Canonical table.
        items: Canonical table.
        slates: Canonical table.
        timeline: Canonical table.
        catalogue_schedule: Document of the schedule.
        launch_item_vectors: Checkpoint with ``vectors`` (item, embed) float32.
        launch_codebook: Semantic IDs of the launch.
        launch_item_priors: Which of several launch items under one code is preferred.
        arriving_items: Checkpoint of what is published later.
        catalogue: What a change does, codes.
        session: Horizon, patience, history window.
        candidates: Rules for slates.
        reward: From clicks to reward.
        seed: Seed of the run.
        launch_response: Checkpoint of a response model of what is known at launch; without
            arrays when none is asked for.
        simulator_train: Checkpoint of the training simulator.
        simulator_eval: Checkpoint of the evaluation simulator.
        timetable_training: When the policy that lived through training was kept; may be empty.
        timetable_serving: When the policy that served was kept; may be empty.
        timetable_retraining: When those trained after each change were kept; may be empty.
        policies_training: Store of the policy that lived through training.
        policies_serving: Store of the policy that served.
        policies_retraining: Store of the policies trained after each change.
        synthetic_truth: Checkpoint of the true users; without arrays when nobody knows them.
        reference_records: Store of the sessions that references had in earlier evaluations.
        moving_metrics: Called with the figures of each change.
        agent: Name of the agent.
        evaluation: Number of sessions, their seed and split.

    Returns:
        Tables and figures for tracking, by catalog name.
    """
    from hsrl_pipeline.catalogue.timetable import Timetable
    from hsrl_pipeline.data.synthetic_truth import SyntheticTruth
    from hsrl_pipeline.device import resolve_device
    from hsrl_pipeline.evaluation.moving_evaluation import judge_through_changes
    from hsrl_pipeline.evaluation.moving_tables import MovingTabulator, area_metrics
    from hsrl_pipeline.simulator.moving_world import MovingWorld

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
    known = bool(synthetic_truth["state"])
    lives = {
        timetable.mode: (timetable, policies)
        for document, policies in (
            (timetable_serving, policies_serving),
            (timetable_training, policies_training),
            (timetable_retraining, policies_retraining),
        )
        if document
        for timetable in [Timetable.from_dict(document)]
    }
    tabulator = MovingTabulator(
        world,
        {mode: timetable for mode, (timetable, _) in lives.items()},
        shown_name=agent.shown_name,
        seed=seed,
        regime=candidates.regime,
        arm=catalogue.arm,
        evaluation=evaluation,
    )
    for judged in judge_through_changes(
        world,
        {"train": simulator_train, "eval": simulator_eval},
        lives,
        agent_name=agent.name,
        seed=seed,
        evaluation=evaluation,
        sessions=world.data.setting(
            session, reward, candidates, resolve_device(evaluation.device, "evaluation.device")
        ),
        launch_response=launch_response if launch_response["state"] else None,
        references=catalogue.references,
        served_slates=catalogue.served_slates,
        truth=SyntheticTruth.from_checkpoint(synthetic_truth).aligned(users, items)
        if known
        else None,
        reference_records=reference_records,
    ):
        moving_metrics(judged.change, tabulator.add(judged))
    tables = tabulator.tables()
    return {
        "moving_summary": tables.summary,
        "moving_regret": tables.areas,
        "moving_recovery": tables.recovery,
        "moving_costs": tables.costs,
        "moving_sessions": tables.sessions,
        "moving_area_metrics": area_metrics(tables.areas, agent.shown_name),
    }


def compare_areas(moving_sessions: pd.DataFrame, evaluation: EvaluationConfig) -> pd.DataFrame:
    """Compare the areas under regret of all policies judged so far, session by session.

    Args:
        moving_sessions: Areas of the sessions of this and earlier runs.
        evaluation: Resamples.

    Returns:
        Paired differences of all pairs of policies.
    """
    from hsrl_pipeline.evaluation.regret import area_differences

    return area_differences(moving_sessions, evaluation.n_resamples, evaluation.seed)


def plot_moving_policies(
    moving_summary: pd.DataFrame, catalogue: CatalogueConfig, candidates: CandidatesConfig
) -> Any:
    """Draw reward through the changes, of all policies judged so far.

    Args:
        moving_summary: Rows of this and earlier runs.
        catalogue: The arm to draw.
        candidates: The regime to draw.

    Returns:
        A matplotlib figure.
    """
    from hsrl_pipeline.evaluation.moving_plot import plot_moving

    return plot_moving(moving_summary, candidates.regime, catalogue.arm)
