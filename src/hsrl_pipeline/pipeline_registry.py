"""The project's pipelines by name."""

from __future__ import annotations

from collections.abc import Callable

from kedro.pipeline import Pipeline

from hsrl_pipeline.pipelines import (
    agent_search,
    agent_training,
    ingestion,
    moving_catalogue,
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
    "agent_training": agent_training.create_pipeline,
    "offline_eval": offline_eval.create_pipeline,
}
"""The pipelines that others read from, in the order of a run: each after those it reads from."""

CHAIN = {name: create for name, create in MAKERS.items() if name != "moving_catalogue"}
"""The pipelines of the whole chain of a fixed catalogue, in the order of a run."""


def register_pipelines() -> dict[str, Pipeline]:
    """Return the pipelines of the chain, three beside it, and the chain as ``__default__``.

    The nodes of a pipeline share a namespace of its name, which Kedro-Viz shows as one box that
    unfolds. Datasets and parameters keep their names.
    """
    chain = {name: create() for name, create in CHAIN.items()}
    return {
        **chain,
        "moving_catalogue": moving_catalogue.create_pipeline(),
        "agent_search": agent_search.create_pipeline(),
        "reporting": reporting.create_pipeline(),
        "__default__": Pipeline(chain.values()),
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
