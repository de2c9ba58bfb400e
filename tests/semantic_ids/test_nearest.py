from __future__ import annotations

import numpy as np
import pytest

from hsrl_pipeline.semantic_ids.blocks import BLOCK_ROWS, TASK_ROWS
from hsrl_pipeline.semantic_ids.nearest import (
    LevelCentroids,
    assign_level,
    encode_levels,
    sum_clusters,
)


def test_assigns_the_nearest_centroid_and_breaks_ties_downwards() -> None:
    level = LevelCentroids.plain(np.array([[0.0, 0.0], [2.0, 0.0]], dtype=np.float32))
    rows = np.array([[0.9, 0.0], [1.1, 5.0], [1.0, 0.0]], dtype=np.float32)
    assert assign_level(rows, level, None).tolist() == [0, 1, 0]


def test_an_offset_is_added_to_the_squared_distance() -> None:
    centroids = np.array([[0.0], [2.0]], dtype=np.float32)
    rows = np.array([[0.5], [0.5]], dtype=np.float32)
    # distances 0.25 and 2.25: an offset below 2 on the first changes nothing, above 2 it does
    level = LevelCentroids(centroids, np.array([[1.9, 0.0]], dtype=np.float32))
    assert assign_level(rows, level, None).tolist() == [0, 0]
    level = LevelCentroids(centroids, np.array([[2.1, 0.0]], dtype=np.float32))
    assert assign_level(rows, level, None).tolist() == [1, 1]
    conditional = LevelCentroids(centroids, np.array([[2.1, 0.0], [0.0, 0.0]], dtype=np.float32))
    assert assign_level(rows, conditional, np.array([0, 1])).tolist() == [1, 0]


def test_offsets_need_one_entry_per_centroid() -> None:
    with pytest.raises(ValueError, match="offsets has shape"):
        LevelCentroids(np.zeros((2, 1), np.float32), np.zeros((1, 3), np.float32))


def test_second_level_codes_the_residual() -> None:
    levels = [
        LevelCentroids.plain(np.array([[0.0], [10.0]], dtype=np.float32)),
        LevelCentroids.plain(np.array([[-1.0], [1.0]], dtype=np.float32)),
    ]
    rows = np.array([[0.8], [9.2], [10.7]], dtype=np.float32)
    assert encode_levels(rows, levels).tolist() == [[0, 1], [1, 0], [1, 1]]


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_codes_and_sums_do_not_depend_on_threads(n_threads: int) -> None:
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((3 * TASK_ROWS + 7, 6)).astype(np.float32)
    centroids = rows[:13].copy()
    reference = sum_clusters(rows, centroids, 1)
    other = sum_clusters(rows, centroids, n_threads)
    assert (other.codes == reference.codes).all()
    assert (other.sums == reference.sums).all()
    assert (other.counts == reference.counts).all()


def test_cluster_sums_are_the_sums_of_their_rows() -> None:
    generator = np.random.default_rng(1)
    rows = generator.standard_normal((500, 3)).astype(np.float32)
    clusters = sum_clusters(rows, rows[:4].copy())
    for code in range(4):
        members = rows[clusters.codes == code]
        np.testing.assert_allclose(clusters.sums[code], members.sum(axis=0), rtol=1e-4, atol=1e-4)
        assert clusters.counts[code] == len(members)


def test_a_row_gets_the_same_code_whatever_its_company() -> None:
    generator = np.random.default_rng(2)
    rows = generator.standard_normal((BLOCK_ROWS + 37, 48)).astype(np.float32)
    level = LevelCentroids.plain(generator.standard_normal((60, 48)).astype(np.float32))
    together = encode_levels(rows, (level, level))
    for row in (0, 1, 17, BLOCK_ROWS - 1, BLOCK_ROWS, len(rows) - 1):
        assert (encode_levels(rows[row : row + 1], (level, level)) == together[row]).all()
