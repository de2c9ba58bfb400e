"""Hyper-parameter search of one agent on the training simulator; not part of the whole chain."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from hsrl_pipeline.pipelines.agent_search.nodes import search_agent_settings


def create_pipeline(**_: object) -> Pipeline:
    """Return the agent search pipeline."""
    return pipeline(
        [
            node(
                search_agent_settings,
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
                    "agent": "params:agent",
                    "agents": "params:agents",
                    "search": "params:search",
                    "training": "params:training",
                    "session": "params:session",
                    "reward": "params:reward",
                    "candidates": "params:candidates",
                    "seed": "params:seed",
                },
                outputs=["search_trials", "search_proposal"],
                name="search_agent_settings",
            )
        ],
        namespace="agent_search",
        prefix_datasets_with_namespace=False,
    )
