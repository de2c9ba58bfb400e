"""From the launch of a catalogue that moves to policies that have lived through its changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from kedro.pipeline import Pipeline, node, pipeline

from hsrl_pipeline.catalogue.timetable import Mode
from hsrl_pipeline.pipelines.moving_training.nodes import train_policy_through_changes

WORLD_INPUTS = {
    "dataset_info": "dataset_info",
    "users": "users",
    "items": "items",
    "slates": "slates",
    "timeline": "timeline",
    "catalogue_schedule": "catalogue_schedule",
    "launch_item_vectors": "launch_item_vectors",
    "launch_codebook": "launch_codebook",
    "launch_item_priors": "launch_item_priors",
    "arriving_items": "arriving_items",
    "catalogue": "params:catalogue",
    "session": "params:session",
    "candidates": "params:candidates",
    "reward": "params:reward",
    "seed": "params:seed",
}
"""What a world that moves and its sessions are made of."""

LIVES: tuple[tuple[Mode, str, str], ...] = (
    ("training", "training_metrics", "train_while_changing"),
    ("serving", "serving_metrics", "train_then_serve"),
    ("retraining", "retraining_metrics", "retrain_after_changes"),
)
"""How a policy lives through the changes, its training curves, and the node's name."""


def create_pipeline(**_: object) -> Pipeline:
    """Return the moving_training pipeline."""
    return pipeline(
        [
            node(
                _bound(mode),
                inputs={
                    **WORLD_INPUTS,
                    "simulator_train": "simulator_train",
                    "metrics": metrics,
                    "policies": f"policies_{mode}",
                    "checkpoints": f"checkpoints_{mode}",
                    "agent": "params:agent",
                    "agents": "params:agents",
                    "training": "params:training",
                },
                outputs=f"timetable_{mode}",
                name=name,
            )
            for mode, metrics, name in LIVES
        ],
        namespace="moving_training",
        prefix_datasets_with_namespace=False,
    )


def _bound(mode: Mode) -> Callable[..., dict[str, Any]]:
    """Return the node's function for one way of living through the changes."""

    @wraps(train_policy_through_changes)
    def train(**inputs: Any) -> dict[str, Any]:
        return train_policy_through_changes(**inputs, mode=mode)

    return train
