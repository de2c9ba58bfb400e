"""The catalogue that moves: its schedule and all that is known at launch."""

from hsrl_pipeline.pipelines.moving_catalogue.pipeline import create_pipeline

__all__ = ["create_pipeline"]
