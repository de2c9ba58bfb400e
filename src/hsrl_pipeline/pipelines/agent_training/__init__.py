"""The agent_training pipeline."""

from hsrl_pipeline.pipelines.agent_training.pipeline import create_pipeline

__all__ = ["create_pipeline"]
