"""Facts in the items table that are no content feature but tell items apart: price, shelf, flag."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def collect_facts(items: pd.DataFrame) -> NDArray[np.float32]:
    """Return price, shelf and special flag as numbers, where the table has them.

    Args:
        items: Canonical table. A missing price counts as the median price.

    Returns:
        (item, fact) float32. Logarithm of 1 + price, one column per shelf, the flag; row 0 is
        zero. Width 0 when there are no such columns.
    """
    index = items["item_index"].to_numpy(np.int64)
    columns = []
    if "price" in items.columns and items["price"].notna().any():
        price = items["price"].astype("float64")
        columns.append(np.log1p(price.fillna(price.median()).clip(lower=0).to_numpy()))
    if "shelf" in items.columns:
        shelf = np.asarray(items["shelf"])
        columns += [(shelf == value).astype(np.float64) for value in np.unique(shelf)]
    if "special" in items.columns:
        columns.append(items["special"].to_numpy(np.float64))
    facts = np.zeros((int(index.max(initial=0)) + 1, len(columns)), dtype=np.float32)
    if columns:
        facts[index] = np.stack(columns, axis=1)
    return facts
