"""The reporting pipeline."""

from hsrl_pipeline.pipelines.reporting.pipeline import create_pipeline

__all__ = ["create_pipeline"]
