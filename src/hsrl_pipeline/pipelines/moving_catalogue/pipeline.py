"""The catalogue that moves: from the tables and Psi_train to its schedule and launch artefacts."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from hsrl_pipeline.pipelines.moving_catalogue.nodes import (
    build_launch_vectors,
    draw_catalogue_schedule,
    fit_launch_codebook,
    fit_launch_knowledge,
    publish_arriving_items,
    score_launch_priors,
)

LOG_INPUTS = {
    "items": "items",
    "slates": "slates",
    "timeline": "timeline",
    "dataset_info": "dataset_info",
}


def create_pipeline(**_: object) -> Pipeline:
    """Return the moving_catalogue pipeline."""
    return pipeline(
        [
            node(
                draw_catalogue_schedule,
                inputs={
                    **LOG_INPUTS,
                    "users": "users",
                    "simulator_train": "simulator_train",
                    "catalogue": "params:catalogue",
                    "session": "params:session",
                    "candidates": "params:candidates",
                    "seed": "params:seed",
                },
                outputs="catalogue_schedule",
                name="draw_catalogue_schedule",
            ),
            node(
                build_launch_vectors,
                inputs={
                    **LOG_INPUTS,
                    "catalogue_schedule": "catalogue_schedule",
                    "sid": "params:sid",
                    "seed": "params:seed",
                },
                outputs=["launch_item_vectors", "launch_item_vectorizer"],
                name="build_launch_vectors",
            ),
            node(
                fit_launch_codebook,
                inputs=["launch_item_vectors", "catalogue_schedule", "params:sid", "params:seed"],
                outputs="launch_codebook",
                name="fit_launch_codebook",
            ),
            node(
                score_launch_priors,
                inputs={
                    **LOG_INPUTS,
                    "catalogue_schedule": "catalogue_schedule",
                    "sid": "params:sid",
                },
                outputs="launch_item_priors",
                name="score_launch_priors",
            ),
            node(
                publish_arriving_items,
                inputs={
                    "items": "items",
                    "dataset_info": "dataset_info",
                    "catalogue_schedule": "catalogue_schedule",
                    "launch_item_vectors": "launch_item_vectors",
                    "launch_item_vectorizer": "launch_item_vectorizer",
                    "launch_codebook": "launch_codebook",
                    "session": "params:session",
                    "candidates": "params:candidates",
                },
                outputs=["arriving_items", "catalogue_changes"],
                name="publish_arriving_items",
            ),
            node(
                fit_launch_knowledge,
                inputs={
                    **LOG_INPUTS,
                    "users": "users",
                    "catalogue_schedule": "catalogue_schedule",
                    "catalogue": "params:catalogue",
                    "simulator": "params:simulator",
                    "session": "params:session",
                    "seed": "params:seed",
                },
                outputs="launch_response",
                name="fit_launch_knowledge",
            ),
        ],
        namespace="moving_catalogue",
        prefix_datasets_with_namespace=False,
    )
