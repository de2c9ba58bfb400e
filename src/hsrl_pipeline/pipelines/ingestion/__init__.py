"""Ingestion: raw logs to canonical tables and a data-quality report."""

from hsrl_pipeline.pipelines.ingestion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
