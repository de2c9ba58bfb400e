"""New items get their vector and their semantic ID, from frozen transform and frozen codebook."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.catalogue.changes import Publication
from hsrl_pipeline.catalogue.schedule import CatalogueSchedule
from hsrl_pipeline.data.slate_log import ItemTable
from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.item_vectorizer import ItemVectorizer


def publish(
    codebook: Codebook, items: NDArray[np.int64], vectors: NDArray[np.float32]
) -> tuple[Codebook, Publication]:
    """Return the codebook with new items, and what is published of them.

    Args:
        codebook: Semantic IDs published so far, at the items' own indices.
        items: (row,) int64. Items that have none yet, each once.
        vectors: (row, embed) float32. Their vectors.

    Raises:
        UserError: As for `Codebook.assign_items`.
    """
    grown = codebook.assign_items(items, vectors)
    return grown, Publication(items, vectors, grown.codes[items])


def publish_arrivals(
    schedule: CatalogueSchedule,
    items: ItemTable,
    facts: NDArray[np.float32],
    vectorizer: ItemVectorizer,
    codebook: Codebook,
) -> Publication:
    """Return vectors and semantic IDs of all items that a schedule lets arrive.

    Items get their code with their block, one block after the other, so what a change publishes
    does not depend on later ones.

    Args:
        schedule: What arrives when.
        items: Content, titles and given vectors of all items.
        facts: (item, fact) float32. More columns of content, as when the vectors were fitted.
        vectorizer: The frozen transform.
        codebook: Semantic IDs of the launch items.

    Raises:
        UserError: A feature is not finite, or no code is free.
    """
    arrivals = schedule.arrivals
    blocks = []
    for step in schedule.steps:
        new = np.intersect1d(step.added, arrivals)
        arrivals = np.setdiff1d(arrivals, new)
        codebook, block = publish(codebook, new, vectorizer.transform(items, new, facts))
        blocks.append(block)
    return Publication.join(blocks)
