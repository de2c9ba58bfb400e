"""Semantic IDs: from items and training feedback to the frozen codebook."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from hsrl_pipeline.pipelines.sid_tokenization.nodes import (
    build_vectors,
    diagnose_semantic_ids,
    fit_codebook,
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
                outputs="item_vectors",
                name="build_vectors",
            ),
            node(
                fit_codebook,
                inputs=["item_vectors", "params:sid", "params:seed"],
                outputs="codebook",
                name="fit_codebook",
            ),
            node(
                diagnose_semantic_ids,
                inputs=["codebook", "item_vectors", "params:seed"],
                outputs="sid_diagnostics",
                name="diagnose_semantic_ids",
            ),
        ]
    )
