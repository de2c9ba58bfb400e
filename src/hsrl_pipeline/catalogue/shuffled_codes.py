"""Semantic IDs without meaning: the same codes, dealt out among the items by chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.catalogue.changes import Publication
from hsrl_pipeline.catalogue.schedule import CatalogueSchedule
from hsrl_pipeline.seeding import numpy_generator

STREAM = "catalogue.shuffled_codes"


def shuffle_codes(
    schedule: CatalogueSchedule,
    codes: NDArray[np.int64],
    arriving: Publication,
    seed: int,
) -> tuple[NDArray[np.int64], Publication]:
    """Return the codes of the launch and of what arrives, permuted over items.

    Items of the launch exchange codes among themselves, and so do those of each arriving block.
    So every version of the catalogue holds the same codes as with published ones.

    Args:
        schedule: Which items arrive together.
        codes: (item, level) int64. Codes of the launch.
        arriving: Vectors and codes of all items that arrive at some time.
        seed: Seed of the run.

    Returns:
        (item, level) int64 and a publication with the same items and vectors.
    """
    dealt = codes.copy()
    generator = numpy_generator(seed, f"{STREAM}.launch")
    dealt[schedule.launch] = codes[generator.permutation(schedule.launch)]
    later = arriving.codes.copy()
    for number, step in enumerate(schedule.steps, start=1):
        rows = np.flatnonzero(np.isin(arriving.items, step.added))
        generator = numpy_generator(seed, f"{STREAM}.{number}")
        later[rows] = arriving.codes[generator.permutation(rows)]
    return dealt, Publication(arriving.items, arriving.item_vectors, later)
