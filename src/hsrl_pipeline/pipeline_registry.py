"""The project's pipelines by name."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from hsrl_pipeline.pipelines import (
    agent_search,
    agent_training,
    ingestion,
    offline_eval,
    sid_tokenization,
    simulator_training,
)


def register_pipelines() -> dict[str, Pipeline]:
    """Return the five pipelines, ``__default__``, the whole chain, and ``agent_search`` beside."""
    chain = {
        "ingestion": ingestion.create_pipeline(),
        "sid_tokenization": sid_tokenization.create_pipeline(),
        "simulator_training": simulator_training.create_pipeline(),
        "agent_training": agent_training.create_pipeline(),
        "offline_eval": offline_eval.create_pipeline(),
    }
    return {
        **chain,
        "agent_search": agent_search.create_pipeline(),
        "__default__": sum(chain.values(), Pipeline([])),
    }
