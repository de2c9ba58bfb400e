"""Item vectors and their transform as checkpoints, made from canonical tables and read again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.config.sid import ItemVectorConfig
from hsrl_pipeline.data.slate_log import DatasetInfo, ItemTable, SlateLog
from hsrl_pipeline.provenance import with_provenance
from hsrl_pipeline.semantic_ids.item_facts import FactColumns
from hsrl_pipeline.semantic_ids.item_quality import quality_columns
from hsrl_pipeline.semantic_ids.item_vectors import fit_item_vectors

if TYPE_CHECKING:
    import pandas as pd


def vector_checkpoints(
    items: pd.DataFrame,
    log: SlateLog,
    info: DatasetInfo,
    config: ItemVectorConfig,
    *,
    seed: int,
    known: NDArray[np.bool_] | None = None,
    sources: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the checkpoints of item vectors and of their transform, with their provenance.

    Args:
        items: Canonical table.
        log: Logged slates; only the training split is read.
        info: Sizes and field names.
        config: Widths and weights of the parts.
        seed: Seed of the run.
        known: (item,) bool. Items that may be learned from; None for all.
        sources: More fields on what they were made from, for both.

    Returns:
        One with ``vectors`` (item, embed) float32, zero for padding and unknown items, and, if
        these have a weight, ``quality`` (item, 2) float32; and one for
        `ItemVectorizer.from_checkpoint`, whose config holds ``facts`` and the version of the
        vectors.

    Raises:
        UserError: A feature or given vector is not finite, or nothing is left to build from.
    """
    facts = FactColumns.fit(items, known)
    fitted = fit_item_vectors(
        ItemTable.from_frame(items, info),
        log,
        config,
        seed=seed,
        facts=facts.table(items),
        known=known,
    )
    state = {"vectors": fitted.vectors}
    if config.quality_weight:
        state["quality"] = quality_columns(log, info.n_items, config.quality_weight, known)
    described = fitted.vectorizer.to_checkpoint()
    shared = {"dataset": info.dataset, **described["config"], **(sources or {})}
    vectors = with_provenance({"config": shared, "state": state}, info.version)
    of_vectors = {"facts": facts.to_dict(), "item_vectors_version": vectors["config"]["version"]}
    vectorizer = {"config": {**shared, **of_vectors}, "state": described["state"]}
    return vectors, with_provenance(vectorizer, info.version)


def vectors_of(checkpoint: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return the (item, embed) float32 vectors of a checkpoint, without quality columns."""
    return np.asarray(checkpoint["state"]["vectors"], dtype=np.float32)


def quality_of(checkpoint: Mapping[str, Any]) -> NDArray[np.float32] | None:
    """Return the (item, quality) float32 quality columns of a checkpoint; None without any."""
    quality = checkpoint["state"].get("quality")
    return None if quality is None else np.asarray(quality, dtype=np.float32)


def vectors_for_policies(checkpoint: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return (item, embed + quality) float32: vectors and quality columns side by side."""
    return side_by_side(vectors_of(checkpoint), quality_of(checkpoint))


def side_by_side(
    vectors: NDArray[np.float32], quality: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Return item vectors as policies read them.

    Args:
        vectors: (item, embed) float32.
        quality: (item, quality) float32, or None for no columns.

    Returns:
        (item, embed + quality) float32.
    """
    return vectors if quality is None else np.hstack([vectors, quality])
