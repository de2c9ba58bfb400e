"""From policies that have lived through a moving catalogue to the tables of what they earned."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from hsrl_pipeline.pipelines.moving_evaluation.nodes import (
    compare_areas,
    judge_moving_policies,
    plot_moving_policies,
)
from hsrl_pipeline.pipelines.moving_training.pipeline import WORLD_INPUTS

JUDGED_INPUTS = (
    "launch_response",
    "simulator_train",
    "simulator_eval",
    "timetable_training",
    "timetable_serving",
    "timetable_retraining",
    "policies_training",
    "policies_serving",
    "policies_retraining",
    "synthetic_truth",
    "reference_records",
    "moving_metrics",
)

TABLES = (
    "moving_summary",
    "moving_regret",
    "moving_recovery",
    "moving_costs",
    "moving_sessions",
    "moving_area_metrics",
)


def create_pipeline(**_: object) -> Pipeline:
    """Return the moving_evaluation pipeline."""
    return pipeline(
        [
            node(
                judge_moving_policies,
                inputs={
                    **WORLD_INPUTS,
                    **{name: name for name in JUDGED_INPUTS},
                    "agent": "params:agent",
                    "evaluation": "params:evaluation",
                },
                outputs={name: name for name in TABLES},
                name="judge_moving_policies",
            ),
            node(
                compare_areas,
                inputs=["moving_sessions", "params:evaluation"],
                outputs="moving_differences",
                name="compare_areas",
            ),
            node(
                plot_moving_policies,
                inputs=["moving_summary", "params:catalogue", "params:candidates"],
                outputs="moving_plot",
                name="plot_moving_policies",
            ),
        ],
        namespace="moving_evaluation",
        prefix_datasets_with_namespace=False,
    )
