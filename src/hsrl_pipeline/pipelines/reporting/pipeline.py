"""Reporting: from the trials of experiments to tables, pictures and one page."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from hsrl_pipeline.pipelines.reporting.nodes import (
    collect_moving_results,
    collect_trials,
    compare_trials,
    plot_trials,
    write_report,
)


def create_pipeline(**_: object) -> Pipeline:
    """Return the reporting pipeline."""
    return pipeline(
        [
            node(
                collect_trials,
                inputs="experiment_results",
                outputs=[
                    "experiment_trials",
                    "experiment_references",
                    "experiment_level_weights",
                ],
                name="collect_trials",
            ),
            node(
                collect_moving_results,
                inputs="experiment_results",
                outputs=["experiment_moving", "experiment_areas"],
                name="collect_moving_results",
            ),
            node(
                compare_trials,
                inputs=[
                    "experiment_results",
                    "experiment_trials",
                    "experiment_references",
                    "params:evaluation",
                ],
                outputs=["experiment_scores", "experiment_comparisons"],
                name="compare_trials",
            ),
            node(
                plot_trials,
                inputs="experiment_scores",
                outputs="experiment_scores_plot",
                name="plot_trials",
            ),
            node(
                write_report,
                inputs={
                    "experiment_results": "experiment_results",
                    "experiment_trials": "experiment_trials",
                    "experiment_scores": "experiment_scores",
                    "experiment_comparisons": "experiment_comparisons",
                    "experiment_level_weights": "experiment_level_weights",
                    "experiment_moving": "experiment_moving",
                    "experiment_areas": "experiment_areas",
                },
                outputs="experiment_report",
                name="write_report",
            ),
        ],
        namespace="reporting",
        prefix_datasets_with_namespace=False,
    )
