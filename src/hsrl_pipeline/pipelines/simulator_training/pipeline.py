"""The simulators: from the log to Psi_train, Psi_eval and their fidelity report."""

from __future__ import annotations

from functools import wraps
from typing import Any, Literal

from kedro.pipeline import Node, Pipeline, node, pipeline

from hsrl_pipeline.pipelines.simulator_training.nodes import (
    check_selection,
    fit_user_simulator,
    report_fidelity,
)

CURVES = "simulator_curves"

FIT_INPUTS = {
    "users": "users",
    "items": "items",
    "slates": "slates",
    "timeline": "timeline",
    "dataset_info": "dataset_info",
    CURVES: CURVES,
    "simulator": "params:simulator",
    "session": "params:session",
    "seed": "params:seed",
}


def create_pipeline(**_: object) -> Pipeline:
    """Return the simulator_training pipeline."""
    return pipeline(
        [
            _fit("train", FIT_INPUTS, name="fit_training_simulator"),
            _fit(
                "eval",
                {**FIT_INPUTS, "recorded_answers": "recorded_answers"},
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
                    "simulator_personal",
                    "simulator_metrics",
                    "simulator_reliability_plot",
                    "simulator_slate_clicks_plot",
                    "simulator_popularity_plot",
                ],
                name="report_fidelity",
            ),
            node(
                check_selection,
                inputs={
                    **{name: source for name, source in FIT_INPUTS.items() if name != CURVES},
                    "propensities": "propensities",
                },
                outputs=["simulator_selection", "simulator_selection_metrics"],
                name="check_selection",
            ),
        ],
        namespace="simulator_training",
        prefix_datasets_with_namespace=False,
    )


def _fit(role: Literal["train", "eval"], inputs: dict[str, str], name: str) -> Node:
    """Return the node that fits the simulator of one role."""

    @wraps(fit_user_simulator)  # Kedro reads the types of parameters there, Kedro-Viz the code
    def fit(**given: Any) -> dict[str, Any]:
        return fit_user_simulator(**given, role=role)

    return node(fit, inputs=inputs, outputs=f"simulator_{role}", name=name)
