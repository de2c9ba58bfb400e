"""Offline evaluation: from simulators and a trained policy to the tables of results."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from hsrl_pipeline.pipelines.offline_eval.nodes import (
    compare_policies,
    compare_simulators,
    evaluate_policies,
    plot_evaluation,
)


def create_pipeline(**_: object) -> Pipeline:
    """Return the offline evaluation pipeline."""
    return pipeline(
        [
            node(
                evaluate_policies,
                inputs={
                    "dataset_info": "dataset_info",
                    "users": "users",
                    "items": "items",
                    "slates": "slates",
                    "timeline": "timeline",
                    "item_vectors": "item_vectors",
                    "codebook": "codebook",
                    "item_priors": "item_priors",
                    "simulator_train": "simulator_train",
                    "simulator_eval": "simulator_eval",
                    "trained_policy": "trained_policy",
                    "synthetic_truth": "synthetic_truth",
                    "reference_records": "reference_records",
                    "propensities": "propensities",
                    "agent": "params:agent",
                    "evaluation": "params:evaluation",
                    "session": "params:session",
                    "reward": "params:reward",
                    "candidates": "params:candidates",
                    "seed": "params:seed",
                },
                outputs={
                    "summary": "summary",
                    "evaluation_metrics": "evaluation_metrics",
                    "evaluation_sessions": "evaluation_sessions",
                    "evaluation_steps": "evaluation_steps",
                    "evaluation_users": "evaluation_users",
                    "policy_truth": "policy_truth",
                    "ranking_summary": "ranking_summary",
                    "off_policy_summary": "off_policy_summary",
                },
                name="evaluate_policies",
            ),
            node(
                compare_policies,
                inputs=["evaluation_sessions", "params:evaluation"],
                outputs=["policy_differences", "train_eval_gap"],
                name="compare_policies",
            ),
            node(
                compare_simulators,
                inputs=["evaluation_sessions", "evaluation_steps", "params:evaluation"],
                outputs=["simulator_agreement", "simulator_agreement_metrics"],
                name="compare_simulators",
            ),
            node(
                plot_evaluation,
                inputs=["evaluation_steps", "policy_differences"],
                outputs=["reward_by_step_plot", "policy_differences_plot"],
                name="plot_evaluation",
            ),
        ],
        namespace="offline_eval",
        prefix_datasets_with_namespace=False,
    )
