"""Agent training: from tables, codes and the training simulator to a trained policy."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from hsrl_pipeline.pipelines.agent_training.nodes import train_policy


def create_pipeline(**_: object) -> Pipeline:
    """Return the agent training pipeline."""
    return pipeline(
        [
            node(
                train_policy,
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
                    "training_metrics": "training_metrics",
                    "training_checkpoints": "training_checkpoints",
                    "agent": "params:agent",
                    "agents": "params:agents",
                    "training": "params:training",
                    "session": "params:session",
                    "reward": "params:reward",
                    "candidates": "params:candidates",
                    "seed": "params:seed",
                },
                outputs=["trained_policy", "training_history"],
                name="train_policy",
            )
        ],
        namespace="agent_training",
        prefix_datasets_with_namespace=False,
    )
