"""The simulators: from the log to Psi_train, Psi_eval and their fidelity report."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from hsrl_pipeline.pipelines.simulator_training.nodes import (
    fit_evaluation_simulator,
    fit_training_simulator,
    report_fidelity,
)

FIT_INPUTS = {
    "users": "users",
    "items": "items",
    "slates": "slates",
    "timeline": "timeline",
    "dataset_info": "dataset_info",
    "simulator_curves": "simulator_curves",
    "simulator": "params:simulator",
    "session": "params:session",
    "seed": "params:seed",
}


def create_pipeline(**_: object) -> Pipeline:
    """Return the simulator_training pipeline."""
    return pipeline(
        [
            node(
                fit_training_simulator,
                inputs=FIT_INPUTS,
                outputs="simulator_train",
                name="fit_training_simulator",
            ),
            node(
                fit_evaluation_simulator,
                inputs={**FIT_INPUTS, "recorded_answers": "recorded_answers"},
                outputs="simulator_eval",
                name="fit_evaluation_simulator",
            ),
            node(
                report_fidelity,
                inputs={
                    "simulator_train": "simulator_train",
                    "simulator_eval": "simulator_eval",
                    "users": "users",
                    "slates": "slates",
                    "timeline": "timeline",
                    "dataset_info": "dataset_info",
                    "simulator": "params:simulator",
                },
                outputs=[
                    "simulator_fidelity",
                    "simulator_reliability",
                    "simulator_slate_clicks",
                    "simulator_popularity",
                    "simulator_metrics",
                    "simulator_reliability_plot",
                    "simulator_slate_clicks_plot",
                    "simulator_popularity_plot",
                ],
                name="report_fidelity",
            ),
        ]
    )
