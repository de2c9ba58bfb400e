"""The codebook on disk: one safetensors file with its provenance, checked by hash on load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from kedro.io import AbstractDataset, DatasetError

from hsrl_pipeline.atomic import staged_path

if TYPE_CHECKING:
    from hsrl_pipeline.semantic_ids.codebook import Codebook


class CodebookDataset(AbstractDataset["Codebook", "Codebook"]):
    """Symmetric, atomic dataset for a ``Codebook``; executes no code when it loads.

    The file holds ``codes``, ``centroids_<level>`` and ``offsets_<level>``; the header holds the
    vocabulary sizes, the collision rule, the metadata and the version.

    Args:
        filepath: The ``.safetensors`` file.
        metadata: Read by Kedro-Viz and by the tracking hook.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Codebook:
        """Load the codebook.

        Raises:
            DatasetError: The file is missing, unreadable, or its content does not have the
                version it claims.
        """
        from safetensors import SafetensorError, safe_open

        if not self._filepath.exists():
            raise DatasetError(f"{self._filepath} does not exist")
        try:
            with safe_open(self._filepath, framework="numpy") as file:
                header = json.loads(file.metadata()["codebook"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}
            codebook = _build(header, arrays)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{self._filepath} is not a readable codebook: {error}") from error
        if codebook.version != header["version"]:
            raise DatasetError(
                f"{self._filepath} claims version {header['version']} but holds "
                f"{codebook.version}: it was changed after it was saved; "
                "run the sid_tokenization pipeline again"
            )
        return codebook

    def provenance(self) -> dict[str, Any]:
        """Return the metadata and the version it claims, without reading any array.

        Raises:
            DatasetError: The file is missing or unreadable.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._filepath, framework="numpy") as file:
                header = json.loads(file.metadata()["codebook"])
            return {**header["metadata"], "version": header["version"]}
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{self._filepath} is not a readable codebook: {error}") from error

    def save(self, data: Codebook) -> None:
        """Save the codebook in one atomic write."""
        from safetensors.numpy import save_file

        arrays: dict[str, np.ndarray[Any, Any]] = {"codes": np.ascontiguousarray(data.codes)}
        for depth, level in enumerate(data.quantizer.levels):
            arrays[f"centroids_{depth}"] = np.ascontiguousarray(level.centroids)
            arrays[f"offsets_{depth}"] = np.ascontiguousarray(level.offsets)
        header = {
            "vocab_sizes": list(data.vocab_sizes),
            "n_quantizer_levels": len(data.quantizer.levels),
            "collisions": data.collisions,
            "metadata": dict(data.metadata),
            "version": data.version,
        }
        with staged_path(self._filepath) as staging:
            save_file(arrays, staging, metadata={"codebook": json.dumps(header, sort_keys=True)})

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


def _build(header: dict[str, Any], arrays: dict[str, np.ndarray[Any, Any]]) -> Codebook:
    from hsrl_pipeline.semantic_ids.codebook import Codebook
    from hsrl_pipeline.semantic_ids.nearest import LevelCentroids
    from hsrl_pipeline.semantic_ids.residual_quantizer import ResidualQuantizer

    levels = tuple(
        LevelCentroids(arrays[f"centroids_{depth}"], arrays[f"offsets_{depth}"])
        for depth in range(header["n_quantizer_levels"])
    )
    return Codebook(
        quantizer=ResidualQuantizer(levels),
        codes=arrays["codes"],
        vocab_sizes=tuple(header["vocab_sizes"]),
        collisions=header["collisions"],
        metadata=header["metadata"],
    )
