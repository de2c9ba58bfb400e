"""New items get their vector and their semantic ID, from frozen transform and frozen codebook."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.catalogue.changes import Publication
from hsrl_pipeline.catalogue.schedule import CatalogueSchedule
from hsrl_pipeline.data.slate_log import ItemTable
from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.item_quality import with_unknown_quality
from hsrl_pipeline.semantic_ids.item_vectorizer import ItemVectorizer


def publish(
    codebook: Codebook,
    vectorizer: ItemVectorizer,
    items: ItemTable,
    rows: NDArray[np.int64],
    facts: NDArray[np.float32],
) -> tuple[Codebook, Publication]:
    """Return the codebook with new items, and what is published of them.

    Semantic IDs follow from the vectors alone; what is published has quality columns as well,
    where the vectors of known items have them.

    Args:
        codebook: Semantic IDs published so far, at the items' own indices.
        vectorizer: The frozen transform.
        items: Content, titles and given vectors.
        rows: (row,) int64. Items that have no semantic ID yet, each once.
        facts: (item, fact) float32. More columns of content, as when the vectors were fitted.

    Raises:
        UserError: As for `ItemVectorizer.transform` and `Codebook.assign_items`.
    """
    vectors = vectorizer.transform(items, rows, facts)
    grown = codebook.assign_items(rows, vectors)
    read = with_unknown_quality(vectors, vectorizer.config.quality_weight)
    return grown, Publication(rows, read, grown.codes[rows])


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
        codebook, block = publish(codebook, vectorizer, items, new, facts)
        blocks.append(block)
    return Publication.join(blocks)
