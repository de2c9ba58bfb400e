"""Semantic IDs: item vectors, residual k-means codes, diagnostics."""

from hsrl_pipeline.pipelines.sid_tokenization.pipeline import create_pipeline

__all__ = ["create_pipeline"]
