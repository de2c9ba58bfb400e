"""The versions that a catalogue goes through on a schedule."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.catalogue.changes import CatalogueChange, Publication, apply_change
from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.catalogue.schedule import CatalogueSchedule


def versions_of(
    schedule: CatalogueSchedule,
    launch: LiveCatalogue,
    arriving: Publication,
    *,
    n_needed: int,
    shelves: NDArray[np.int64] | None = None,
) -> Iterator[tuple[CatalogueChange, LiveCatalogue]]:
    """Yield each change of a schedule with the version of the catalogue after it.

    Args:
        schedule: What arrives and what leaves.
        launch: The catalogue before the first change.
        arriving: Vectors and semantic IDs of all items that arrive at some time.
        n_needed: Live items that sessions need at least; of each shelf, where there are shelves.
        shelves: (item,) int64. Shelf of each item from 1, row 0 is 0; None without shelves.

    Raises:
        UserError: As for `apply_change`.
    """
    catalogue = launch
    for step in schedule.steps:
        change = CatalogueChange(catalogue.version, step.added, step.released)
        new = step.added[~catalogue.published[step.added]]
        catalogue = apply_change(
            catalogue, change, arriving.select(new), n_needed=n_needed, shelves=shelves
        )
        yield change, catalogue
