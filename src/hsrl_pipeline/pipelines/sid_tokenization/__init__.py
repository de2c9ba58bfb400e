"""The sid_tokenization pipeline."""

from hsrl_pipeline.pipelines.sid_tokenization.pipeline import create_pipeline

__all__ = ["create_pipeline"]
