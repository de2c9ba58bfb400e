"""Feature files must know the log's ids: ids written in two ways would lose all features."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.errors import UserError

SHOWN = 3


def require_match(name: str, logged: pd.Series, described: pd.Series, least: float) -> None:
    """Refuse features that too few ids of a log have.

    Args:
        name: ``"item"`` or ``"user"``, for messages.
        logged: Ids of the log, (id,) str, unique.
        described: Ids that have features, (id,) str, unique; empty when the source has none.
        least: Smallest allowed share of the log's ids that have features, in [0, 1].

    Raises:
        UserError: The share is smaller; shows ids of both sides.
    """
    has_features = is_among(logged, described)
    if described.empty or has_features.mean() >= least:
        return
    message = (
        f"Only {int(has_features.sum())} of the {len(logged)} {name}s of the log have features: "
        f"the log has ids such as {_examples(logged[~has_features])} without features"
    )
    strangers = described[~is_among(described, logged)]
    if len(strangers):
        message += f", and the features have ids such as {_examples(strangers)} that it lacks"
    raise UserError(
        message,
        where=f"features of {name}s",
        remedy=f"Write the ids of {name}s in both files alike, or lower "
        f"ingestion.min_feature_match from {least:g} if so few have features.",
    )


def is_among(ids: pd.Series, others: pd.Series) -> NDArray[np.bool_]:
    """Return whether each id is one of the others.

    Unlike ``isin``, which takes some 4 microseconds for each text that Arrow holds.

    Args:
        ids: (id,) str.
        others: (other,) str, unique.

    Returns:
        (id,) bool.
    """
    found: NDArray[np.bool_] = pd.Index(others).get_indexer(pd.Index(ids)) >= 0
    return found


def _examples(ids: pd.Series) -> str:
    return ", ".join(repr(text) for text in ids.iloc[:SHOWN])
