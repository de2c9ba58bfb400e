"""Training through a catalogue that moves."""

from hsrl_pipeline.pipelines.moving_training.pipeline import create_pipeline

__all__ = ["create_pipeline"]
