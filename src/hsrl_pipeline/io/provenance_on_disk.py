"""The versions that a file carries, by its header alone where that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedro.io import AbstractDataset

from hsrl_pipeline.provenance import provenance_of


def provenance_on_disk(dataset: AbstractDataset[Any, Any]) -> Mapping[str, Any]:
    """Return what `provenance_of` the dataset's data would say.

    Args:
        dataset: An existing dataset; one without a ``provenance`` method is loaded.

    Raises:
        DatasetError: The file can't be read.
    """
    reader = getattr(dataset, "provenance", None)
    facts: Mapping[str, Any] = provenance_of(dataset.load()) if reader is None else reader()
    return facts
