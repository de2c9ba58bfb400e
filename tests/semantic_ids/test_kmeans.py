from __future__ import annotations

import numpy as np
import pytest

from hsrl_pipeline.semantic_ids import kmeans
from hsrl_pipeline.semantic_ids.kmeans import KMeansSettings, distinct_rows, fit_centroids


def clouds(per_cloud: int = 50) -> np.ndarray:
    centres = np.array([[0, 0], [20, 0], [0, 20], [20, 20]], dtype=np.float32)
    noise = np.random.default_rng(0).standard_normal((4, per_cloud, 2)) * 0.1
    return (centres[:, None] + noise).reshape(-1, 2).astype(np.float32)


LARGE = KMeansSettings(minibatch_above=10, refinement_passes=3)


@pytest.mark.parametrize("settings", [KMeansSettings(), LARGE])
def test_finds_well_separated_clouds(settings: KMeansSettings) -> None:
    centroids = fit_centroids(clouds(), 4, settings, seed=0)
    found = sorted(map(tuple, np.round(centroids, 0).tolist()))
    assert found == [(0, 0), (0, 20), (20, 0), (20, 20)]


@pytest.mark.parametrize("settings", [KMeansSettings(), LARGE])
def test_same_seed_same_bits(settings: KMeansSettings) -> None:
    rows = np.random.default_rng(5).standard_normal((400, 6)).astype(np.float32)
    first = fit_centroids(rows, 9, settings, seed=1)
    assert (fit_centroids(rows, 9, settings, seed=1) == first).all()
    assert (fit_centroids(rows, 9, settings, seed=2) != first).any()


def test_restarts_do_not_make_it_worse() -> None:
    rows = np.random.default_rng(5).standard_normal((300, 4)).astype(np.float32)

    def error(n_restarts: int) -> float:
        settings = KMeansSettings(n_restarts=n_restarts, minibatch_above=10, refinement_passes=1)
        centroids = fit_centroids(rows, 12, settings, seed=0)
        return float(((rows[:, None] - centroids) ** 2).sum(2).min(1).sum())

    assert error(8) <= error(1) * 1.01


def test_fewer_distinct_rows_than_clusters_keeps_each_and_splits() -> None:
    rows = np.array([[1.0, 0.0], [0.0, 1.0]] * 20, dtype=np.float32)
    centroids = fit_centroids(rows, 5, KMeansSettings(), seed=0)
    assert centroids.shape == (5, 2)
    assert centroids[:2].tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert len(np.unique(centroids, axis=0)) == 5


def test_empty_clusters_restart_at_far_rows() -> None:
    rows = clouds()
    # three of four starts lie far off, so that they are empty after the first assignment
    starts = np.array([[0, 0], [900, 0], [0, 900], [900, 900]], dtype=np.float32)
    moved = kmeans._lloyd_passes(rows, starts, 6, None)
    distances = ((rows[:, None] - moved) ** 2).sum(2).min(1)
    assert distances.max() < 1.0


def test_distinct_rows_look_beyond_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans, "DISTINCT_SAMPLE_ROWS", 4)
    rows = np.array([[0.0]] * 4 + [[1.0], [2.0]], dtype=np.float32)
    assert len(distinct_rows(rows, 2)) == 3
    assert len(distinct_rows(rows, 1)) == 1
