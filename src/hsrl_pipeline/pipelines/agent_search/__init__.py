"""The agent_search pipeline."""

from hsrl_pipeline.pipelines.agent_search.pipeline import create_pipeline

__all__ = ["create_pipeline"]
