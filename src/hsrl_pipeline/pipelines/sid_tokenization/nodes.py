"""Nodes of the sid_tokenization pipeline: thin over the library."""

from __future__ import annotations

from typing import Any

import pandas as pd

from hsrl_pipeline.config.sid import SidConfig


def build_vectors(
    *,
    items: pd.DataFrame,
    slates: pd.DataFrame,
    timeline: pd.DataFrame,
    dataset_info: dict[str, Any],
    sid: SidConfig,
    seed: int,
) -> dict[str, Any]:
    """Make one vector per item from content, training feedback and given vectors.

    Args:
        items: Canonical table.
        slates: Canonical table; the training split alone is used.
        timeline: Canonical table.
        dataset_info: Sizes and field names.
        sid: Parameters of semantic IDs.
        seed: Seed of the run.

    Returns:
        Checkpoint with ``vectors`` (item, embed) float32, row 0 zero.
    """
    from hsrl_pipeline.data.slate_log import DatasetInfo, ItemTable, SlateLog
    from hsrl_pipeline.semantic_ids.item_vectors import build_item_vectors

    info = DatasetInfo.from_dict(dataset_info)
    vectors = build_item_vectors(
        ItemTable.from_frame(items, info),
        SlateLog.from_frames(slates, timeline),
        sid.vectors,
        seed=seed,
    )
    return {
        "config": {
            "dataset": info.dataset,
            "dataset_version": info.version,
            "seed": seed,
            "settings": sid.vectors.model_dump(),
        },
        "state": {"vectors": vectors},
    }


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

    return tokenize(
        _vectors(item_vectors),
        sid,
        seed=seed,
        provenance={
            "dataset": item_vectors["config"]["dataset"],
            "dataset_version": item_vectors["config"]["dataset_version"],
        },
    )


def diagnose_semantic_ids(codebook: Any, item_vectors: dict[str, Any], seed: int) -> dict[str, Any]:
    """Measure uniqueness, usage, reconstruction and neighbourhoods.

    Args:
        codebook: The frozen codebook.
        item_vectors: Checkpoint with ``vectors``.
        seed: Seed of samples.
    """
    from hsrl_pipeline.semantic_ids.diagnostics import diagnose

    return diagnose(codebook, _vectors(item_vectors), seed=seed)


def _vectors(item_vectors: dict[str, Any]) -> Any:
    """Return the (item, embed) float32 numpy array of the checkpoint."""
    import numpy as np

    return np.asarray(item_vectors["state"]["vectors"], dtype=np.float32)
