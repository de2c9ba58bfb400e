"""Semantic IDs: from items and training feedback to the frozen codebook."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from hsrl_pipeline.pipelines.sid_tokenization.nodes import (
    build_vectors,
    compare_semantic_ids,
    diagnose_semantic_ids,
    fit_codebook,
    score_item_priors,
)


def create_pipeline(**_: object) -> Pipeline:
    """Return the sid_tokenization pipeline."""
    return pipeline(
        [
            node(
                build_vectors,
                inputs={
                    "items": "items",
                    "slates": "slates",
                    "timeline": "timeline",
                    "dataset_info": "dataset_info",
                    "sid": "params:sid",
                    "seed": "params:seed",
                },
                outputs=["item_vectors", "item_vectorizer"],
                name="build_vectors",
            ),
            node(
                fit_codebook,
                inputs=["item_vectors", "params:sid", "params:seed"],
                outputs="codebook",
                name="fit_codebook",
            ),
            node(
                score_item_priors,
                inputs={
                    "items": "items",
                    "slates": "slates",
                    "timeline": "timeline",
                    "dataset_info": "dataset_info",
                    "sid": "params:sid",
                },
                outputs="item_priors",
                name="score_item_priors",
            ),
            node(
                diagnose_semantic_ids,
                inputs=["codebook", "item_vectors", "items", "params:seed"],
                outputs=["sid_diagnostics", "sid_metrics", "sid_examples", "sid_diagnostics_plot"],
                name="diagnose_semantic_ids",
            ),
            node(
                compare_semantic_ids,
                inputs=["codebook", "item_vectors", "params:sid", "params:seed"],
                outputs=["sid_comparison", "sid_comparison_plot"],
                name="compare_semantic_ids",
            ),
        ],
        namespace="sid_tokenization",
        prefix_datasets_with_namespace=False,
    )
