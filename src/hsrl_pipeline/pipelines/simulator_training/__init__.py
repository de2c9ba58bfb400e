"""The simulator_training pipeline."""

from hsrl_pipeline.pipelines.simulator_training.pipeline import create_pipeline

__all__ = ["create_pipeline"]
