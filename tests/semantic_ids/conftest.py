from __future__ import annotations

import numpy as np
import pytest

from hsrl_pipeline.semantic_ids.balance import BalanceSettings
from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.kmeans import KMeansSettings
from hsrl_pipeline.semantic_ids.nearest import LevelCentroids
from hsrl_pipeline.semantic_ids.residual_quantizer import (
    QuantizerSettings,
    ResidualQuantizer,
    fit_residual_quantizer,
)


def unit_vectors(n_rows: int, embed: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n_rows, embed)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def square() -> ResidualQuantizer:
    """Two levels in the plane: four corners at distance 10, then four steps of length 1."""
    corners = np.array([[10, 10], [-10, 10], [-10, -10], [10, -10]], dtype=np.float32)
    steps = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], dtype=np.float32)
    return ResidualQuantizer((LevelCentroids.plain(corners), LevelCentroids.plain(steps)))


@pytest.fixture(scope="session")
def vectors() -> np.ndarray:
    """301 unit rows after a padding row."""
    return np.concatenate([np.zeros((1, 8), np.float32), unit_vectors(301, 8)])


@pytest.fixture(scope="session")
def quantizer(vectors: np.ndarray) -> ResidualQuantizer:
    settings = QuantizerSettings(
        (8, 6, 10), KMeansSettings(max_iterations=10), BalanceSettings("none")
    )
    return fit_residual_quantizer(vectors[1:], settings, seed=3)


@pytest.fixture(scope="session", params=["keep", "reassign", "suffix"])
def codebook(
    request: pytest.FixtureRequest, quantizer: ResidualQuantizer, vectors: np.ndarray
) -> Codebook:
    return Codebook.build(quantizer, vectors, collisions=request.param)
