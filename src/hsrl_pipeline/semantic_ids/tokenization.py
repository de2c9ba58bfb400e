"""From item vectors and parameters to the frozen codebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.config.sid import SidConfig
from hsrl_pipeline.semantic_ids.balance import BalanceSettings
from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.kmeans import KMeansSettings
from hsrl_pipeline.semantic_ids.nearest import FloatArray
from hsrl_pipeline.semantic_ids.residual_quantizer import (
    QuantizerSettings,
    fit_residual_quantizer,
)


def tokenize(
    vectors: FloatArray,
    config: SidConfig,
    *,
    seed: int,
    provenance: Mapping[str, Any] | None = None,
    n_threads: int | None = None,
    items: NDArray[np.int64] | None = None,
) -> Codebook:
    """Fit the quantizer and give every item its semantic ID.

    Args:
        vectors: (item, embed) float32. Row 0 is padding.
        config: Levels, vocabularies, clustering and the collision rule.
        seed: Seed of the run.
        provenance: JSON-able facts to keep with the codebook.
        n_threads: Threads; ``None`` for all. The codes do not depend on it.
        items: (row,) int64. Items that the quantizer is fitted on and that get a SID, the vectors
            of others are not read; None for all.

    Raises:
        UserError: A vector is unusable, or there are too few codes for the items.
    """
    settings = QuantizerSettings(
        vocab_sizes=config.vocab_sizes,
        kmeans=KMeansSettings(
            n_restarts=config.n_restarts,
            max_iterations=config.max_iterations,
            minibatch_above=config.minibatch_above,
            refinement_passes=config.refinement_passes,
            n_threads=n_threads,
        ),
        balance=BalanceSettings(mode=config.balance, slack=config.balance_slack),
    )
    known = vectors[1:] if items is None else vectors[items]
    quantizer = fit_residual_quantizer(known, settings, seed=seed)
    return Codebook.build(
        quantizer,
        vectors,
        collisions=config.collisions,
        suffix_vocab_size=config.suffix_vocab_size,
        metadata={**(provenance or {}), "seed": seed, "settings": config.model_dump()},
        items=items,
    )
