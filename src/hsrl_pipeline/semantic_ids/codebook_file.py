"""The codebook on disk: one safetensors file with its provenance, checked by hash when read.

The file holds ``codes``, ``centroids_<level>`` and ``offsets_<level>``; the header holds the
vocabulary sizes, the collision rule, the metadata and the version.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from hsrl_pipeline.atomic import staged_path
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.nearest import LevelCentroids
from hsrl_pipeline.semantic_ids.residual_quantizer import ResidualQuantizer

MAKE_AGAIN = "Run the sid_tokenization pipeline again."


def read_codebook(path: str | os.PathLike[str]) -> Codebook:
    """Return the codebook of a file; no code in it is executed.

    Args:
        path: The ``.safetensors`` file.

    Raises:
        UserError: The file is missing, unreadable, or its content does not have the version it
            claims.
    """
    with _reading(path), safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["codebook"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}
        codebook = _build(header, arrays)
    if codebook.version != header["version"]:
        raise UserError(
            f"{path} claims version {header['version']} but holds {codebook.version}: "
            "it was changed after it was saved",
            remedy=MAKE_AGAIN,
        )
    return codebook


def read_codebook_provenance(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return a codebook's metadata and the version it claims, without reading any array.

    Args:
        path: The ``.safetensors`` file.

    Raises:
        UserError: The file is missing or unreadable.
    """
    with _reading(path), safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["codebook"])
        return {**header["metadata"], "version": header["version"]}


def write_codebook(path: str | os.PathLike[str], codebook: Codebook) -> None:
    """Write a codebook in one atomic step.

    Args:
        path: The file; its folder is made when needed.
        codebook: What to write.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {"codes": np.ascontiguousarray(codebook.codes)}
    for depth, level in enumerate(codebook.quantizer.levels):
        arrays[f"centroids_{depth}"] = np.ascontiguousarray(level.centroids)
        arrays[f"offsets_{depth}"] = np.ascontiguousarray(level.offsets)
    header = {
        "vocab_sizes": list(codebook.vocab_sizes),
        "n_quantizer_levels": len(codebook.quantizer.levels),
        "collisions": codebook.collisions,
        "metadata": dict(codebook.metadata),
        "version": codebook.version,
    }
    with staged_path(path) as staging:
        save_file(arrays, staging, metadata={"codebook": json.dumps(header, sort_keys=True)})


@contextmanager
def _reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what can go wrong with a file into one message."""
    if not Path(path).exists():
        raise UserError(f"{path} does not exist", remedy="Run the sid_tokenization pipeline first.")
    try:
        yield
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a readable codebook: {error}", remedy=MAKE_AGAIN) from error


def _build(header: dict[str, Any], arrays: dict[str, np.ndarray[Any, Any]]) -> Codebook:
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
