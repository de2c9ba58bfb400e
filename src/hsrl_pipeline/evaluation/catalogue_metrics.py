"""Figures of a policy that tell new items of a moving catalogue from old ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.evaluation.session_records import SessionRecords
from hsrl_pipeline.shapes import check_shape


def catalogue_metrics(
    records: SessionRecords, catalogue: LiveCatalogue, new_items: NDArray[np.bool_]
) -> dict[str, float]:
    """Return how a policy treats new items, and that it shows none that have left.

    Args:
        records: All sessions of the policy on one simulator, under the catalogue.
        catalogue: The version that was live.
        new_items: (item,) bool. Live items that came with the last change.

    Returns:
        ``new_item_share``: share of the slots given to new items. ``new_item_click_rate`` and
        ``old_item_click_rate``: clicks per slot of new items and of all others; NaN where none was
        shown. ``released_item_slots``: slots given to items that are not live, which must be 0.
    """
    check_shape("new_items", new_items, len(records.exposures))
    old_items = ~new_items
    return {
        "new_item_share": float(records.exposures[new_items].sum() / records.exposures.sum()),
        "new_item_click_rate": _click_rate(records, new_items),
        "old_item_click_rate": _click_rate(records, old_items),
        "released_item_slots": float(records.exposures[~catalogue.live].sum()),
    }


def _click_rate(records: SessionRecords, items: NDArray[np.bool_]) -> float:
    shown = int(records.exposures[items].sum())
    return float(records.item_clicks[items].sum()) / shown if shown else float("nan")
