"""Ingestion: from a raw log to canonical tables and a data-quality report."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from hsrl_pipeline.pipelines.ingestion.nodes import (
    build_canonical_tables,
    keep_pair_tables,
    land_events,
    make_synthetic_truth,
    report_data_quality,
)

TABLES = (
    "dataset_info",
    "interactions",
    "slates",
    "timeline",
    "items",
    "category_values",
    "item_popularity",
    "log_summary",
    "users",
)
"""Saved in this order: users, who carry the version that dataset_info has, come last, so that
tables of a run killed in between are refused."""


def create_pipeline(**_: object) -> Pipeline:
    """Return the ingestion pipeline."""
    return pipeline(
        [
            node(
                land_events,
                inputs=["raw_folder", "work_folder", "params:ingestion", "params:seed"],
                outputs=["event_manifest", "item_features", "user_features"],
                name="land_events",
            ),
            node(
                make_synthetic_truth,
                inputs=["params:ingestion", "params:seed", "dataset_info"],
                outputs="synthetic_truth",
                name="make_synthetic_truth",
            ),
            node(
                build_canonical_tables,
                inputs=[
                    "work_folder",
                    "event_manifest",
                    "item_features",
                    "user_features",
                    "params:ingestion",
                ],
                outputs={name: name for name in TABLES},
                name="build_canonical_tables",
            ),
            node(
                keep_pair_tables,
                inputs={
                    "raw_folder": "raw_folder",
                    "work_folder": "work_folder",
                    "users": "users",
                    "items": "items",
                    "dataset_info": "dataset_info",
                    "ingestion": "params:ingestion",
                    "seed": "params:seed",
                },
                outputs=["recorded_answers", "propensities", "pair_table_rows"],
                name="keep_pair_tables",
            ),
            node(
                report_data_quality,
                inputs=["event_manifest", "pair_table_rows", "log_summary", "item_popularity"],
                outputs=["data_quality_report", "data_quality_plot", "data_quality_metrics"],
                name="report_data_quality",
            ),
        ],
        namespace="ingestion",
        prefix_datasets_with_namespace=False,
    )
