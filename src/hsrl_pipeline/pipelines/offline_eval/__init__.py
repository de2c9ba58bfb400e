"""The offline_eval pipeline."""

from hsrl_pipeline.pipelines.offline_eval.pipeline import create_pipeline

__all__ = ["create_pipeline"]
