"""Policies judged under a catalogue that moves."""

from hsrl_pipeline.pipelines.moving_evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
