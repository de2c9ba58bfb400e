"""The project's pipelines by name."""

from __future__ import annotations

from collections.abc import Callable

from kedro.pipeline import Pipeline

from hsrl_pipeline.pipelines import (
    agent_search,
    agent_training,
    ingestion,
    moving_catalogue,
    moving_evaluation,
    moving_training,
    offline_eval,
    reporting,
    sid_tokenization,
    simulator_training,
)

MAKERS: dict[str, Callable[[], Pipeline]] = {
    "ingestion": ingestion.create_pipeline,
    "sid_tokenization": sid_tokenization.create_pipeline,
    "simulator_training": simulator_training.create_pipeline,
    "moving_catalogue": moving_catalogue.create_pipeline,
    "moving_training": moving_training.create_pipeline,
    "moving_evaluation": moving_evaluation.create_pipeline,
    "agent_training": agent_training.create_pipeline,
    "offline_eval": offline_eval.create_pipeline,
}
"""The pipelines that others read from, in the order of a run: each after those it reads from."""

CHAIN = {name: create for name, create in MAKERS.items() if not name.startswith("moving_")}
"""The pipelines of the whole chain of a fixed catalogue, in the order of a run."""

MOVING = "moving"
"""The whole chain of a catalogue that moves; ``catalogue.schedule=moving`` asks for it."""

MOVING_CHAIN = {
    name: MAKERS[name]
    for name in (
        "ingestion",
        "simulator_training",
        "moving_catalogue",
        "moving_training",
        "moving_evaluation",
    )
}
"""Its pipelines, in the order of a run."""

MOVING_FORMS = {
    "sid_tokenization": "moving_catalogue",
    "agent_training": "moving_training",
    "offline_eval": "moving_evaluation",
}
"""What takes the place of a pipeline of the fixed catalogue when the catalogue moves."""


def register_pipelines() -> dict[str, Pipeline]:
    """Return all pipelines, the chain as ``__default__``, and that of a catalogue that moves.

    The nodes of a pipeline share a namespace of its name, which Kedro-Viz shows as one box that
    unfolds. Datasets and parameters keep their names.
    """
    made = {name: create() for name, create in MAKERS.items()}
    return {
        **made,
        "agent_search": agent_search.create_pipeline(),
        "reporting": reporting.create_pipeline(),
        MOVING: Pipeline(made[name] for name in MOVING_CHAIN),
        "__default__": Pipeline(made[name] for name in CHAIN),
    }


def pipeline_that_makes(dataset: str) -> str | None:
    """Return the pipeline that saves a dataset, None when no one does."""
    return next(
        (name for name, create in MAKERS.items() if dataset in create().all_outputs()), None
    )


def full_node_name(name: str) -> str:
    """Return a node's name with its namespace, so that users need not type it.

    Args:
        name: With or without namespace; comes back as it is when no node or several have it.
    """
    nodes = {node.name for pipeline in register_pipelines().values() for node in pipeline.nodes}
    meant = [node for node in nodes if name == node.rpartition(".")[2]]
    return meant[0] if len(meant) == 1 else name
