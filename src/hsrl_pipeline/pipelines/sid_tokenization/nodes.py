"""Nodes of the sid_tokenization pipeline: thin over the library."""

from __future__ import annotations

from typing import Any

import hsrl_pipeline.pipelines.lazy_pandas as pd
from hsrl_pipeline.config.sid import SidConfig


def build_vectors(
    *,
    items: pd.DataFrame,
    slates: pd.DataFrame,
    timeline: pd.DataFrame,
    dataset_info: dict[str, Any],
    sid: SidConfig,
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make one vector per item from content, training feedback and given vectors.

    Args:
        items: Canonical table.
        slates: Canonical table; the training split alone is used.
        timeline: Canonical table.
        dataset_info: Sizes and field names.
        sid: Parameters of semantic IDs.
        seed: Seed of the run.

    Returns:
        Checkpoint with ``vectors`` (item, embed) float32, row 0 zero; and that of the transform
        that makes vectors of items that come later.
    """
    from hsrl_pipeline.data.slate_log import DatasetInfo, SlateLog
    from hsrl_pipeline.semantic_ids.vector_checkpoints import vector_checkpoints

    return vector_checkpoints(
        items,
        SlateLog.from_frames(slates, timeline),
        DatasetInfo.from_dict(dataset_info),
        sid.vectors,
        seed=seed,
    )


def fit_codebook(item_vectors: dict[str, Any], sid: SidConfig, seed: int) -> Any:
    """Fit residual k-means and give every item its semantic ID.

    Args:
        item_vectors: Checkpoint with ``vectors``.
        sid: Parameters of semantic IDs.
        seed: Seed of the run.

    Returns:
        The frozen codebook.
    """
    from hsrl_pipeline.semantic_ids.tokenization import tokenize
    from hsrl_pipeline.semantic_ids.vector_checkpoints import vectors_of

    return tokenize(
        vectors_of(item_vectors),
        sid,
        seed=seed,
        provenance={
            "dataset": item_vectors["config"]["dataset"],
            "dataset_version": item_vectors["config"]["dataset_version"],
            "item_vectors_version": item_vectors["config"].get("version"),
        },
    )


def score_item_priors(
    *,
    items: pd.DataFrame,
    slates: pd.DataFrame,
    timeline: pd.DataFrame,
    dataset_info: dict[str, Any],
    sid: SidConfig,
) -> pd.DataFrame:
    """Score what is preferred among the items of one code: popularity, recency, quality.

    Args:
        items: Canonical table.
        slates: Canonical table; the training split alone is used.
        timeline: Canonical table.
        dataset_info: Version of the dataset.
        sid: Parameters of semantic IDs.

    Returns:
        Columns ``item_index`` and ``prior``.
    """
    from hsrl_pipeline.data.slate_log import SlateLog
    from hsrl_pipeline.provenance import DATASET_VERSION
    from hsrl_pipeline.semantic_ids.item_priors import prior_frame

    return prior_frame(
        items,
        SlateLog.from_frames(slates, timeline),
        sid.priors,
        sources={DATASET_VERSION: dataset_info["version"]},
    )


def diagnose_semantic_ids(
    codebook: Any, item_vectors: dict[str, Any], items: pd.DataFrame, seed: int
) -> tuple[dict[str, Any], dict[str, float], pd.DataFrame, Any]:
    """Measure uniqueness, usage, reconstruction and neighbourhoods; show items by prefix.

    Args:
        codebook: The frozen codebook.
        item_vectors: Checkpoint with ``vectors``.
        items: Canonical table, for titles.
        seed: Seed of samples.

    Returns:
        All figures, those that runs are compared by, items that share prefixes, and a figure.
    """
    from hsrl_pipeline.semantic_ids.reports.diagnostics import (
        diagnose,
        flat_metrics,
        warn_of_idle_level,
    )
    from hsrl_pipeline.semantic_ids.reports.examples import list_prefix_examples
    from hsrl_pipeline.semantic_ids.reports.plots import plot_diagnostics
    from hsrl_pipeline.semantic_ids.vector_checkpoints import vectors_of

    diagnostics = diagnose(codebook, vectors_of(item_vectors), seed=seed)
    warn_of_idle_level(diagnostics)
    return (
        diagnostics,
        flat_metrics(diagnostics),
        list_prefix_examples(codebook, items),
        plot_diagnostics(diagnostics),
    )


def compare_semantic_ids(
    codebook: Any, item_vectors: dict[str, Any], sid: SidConfig, seed: int
) -> tuple[pd.DataFrame, Any]:
    """Set the codebook beside other balance settings and a shuffled control.

    Args:
        codebook: The frozen codebook.
        item_vectors: Checkpoint with ``vectors``.
        sid: Parameters of semantic IDs.
        seed: Seed of the run.

    Returns:
        One row per variant and level, and a figure of it.
    """
    from hsrl_pipeline.semantic_ids.reports.comparison import compare_codebooks
    from hsrl_pipeline.semantic_ids.reports.plots import plot_comparison
    from hsrl_pipeline.semantic_ids.vector_checkpoints import vectors_of

    comparison = compare_codebooks(codebook, vectors_of(item_vectors), sid, seed=seed)
    return comparison, plot_comparison(comparison)
