from __future__ import annotations

import numpy as np
import pytest

from hsrl_pipeline.semantic_ids.balance import BalanceSettings, balance_level
from hsrl_pipeline.semantic_ids.nearest import assign_level


@pytest.mark.parametrize(
    ("mode", "n_levels", "groups"),
    [
        ("none", 3, [None, None, None]),
        ("levels", 3, ["all", "all", "all"]),
        ("prefixes", 4, [None, "all", "all", "previous"]),
        ("prefixes", 2, [None, "previous"]),
        ("prefixes", 1, ["all"]),
    ],
)
def test_modes_balance_these_levels(mode: str, n_levels: int, groups: list[str | None]) -> None:
    settings = BalanceSettings(mode)  # type: ignore[arg-type]
    assert [settings.groups_of(depth, n_levels) for depth in range(n_levels)] == groups


def test_prices_move_the_border_items_first() -> None:
    # on a line with centroids at 0 and 10, five of six items are nearer to 0
    rows = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [9.0]], dtype=np.float32)
    centroids = np.array([[0.0], [10.0]], dtype=np.float32)
    level = balance_level(rows, centroids, None, 1, BalanceSettings("levels", alternations=0))
    assert assign_level(rows, level, None).tolist() == [0, 0, 0, 1, 1, 1]
    # the item at 3 loses 49 - 9 = 40 by leaving, the one at 2 64 - 4 = 60: the price is between
    assert level.offsets.tolist() == [[50.0, 0.0]]
    assert (level.centroids == centroids).all()


def test_alternations_move_centroids_to_the_balanced_means() -> None:
    rows = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [9.0]], dtype=np.float32)
    centroids = np.array([[0.0], [10.0]], dtype=np.float32)
    level = balance_level(rows, centroids, None, 1, BalanceSettings("levels", alternations=1))
    np.testing.assert_allclose(level.centroids, [[1.0], [16 / 3]], rtol=1e-6)


def test_slack_lets_a_code_take_more() -> None:
    rows = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [9.0]], dtype=np.float32)
    centroids = np.array([[0.0], [10.0]], dtype=np.float32)
    settings = BalanceSettings("levels", slack=4 / 3, alternations=0)
    level = balance_level(rows, centroids, None, 1, settings)
    assert np.bincount(assign_level(rows, level, None)).tolist() == [4, 2]


def test_each_previous_code_is_balanced_on_its_own() -> None:
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((240, 4)).astype(np.float32)
    previous = np.repeat([0, 1, 2], [120, 80, 40])
    centroids = (generator.standard_normal((8, 4)) * 0.3).astype(np.float32)
    settings = BalanceSettings("prefixes", alternations=1)
    level = balance_level(rows, centroids, previous, 3, settings)
    codes = assign_level(rows, level, previous)
    for code, even in ((0, 15), (1, 10), (2, 5)):
        counts = np.bincount(codes[previous == code], minlength=8)
        assert counts.max() <= even + 1
    assert (level.offsets >= 0).all()


def test_balancing_costs_little_reconstruction_where_nothing_is_overfull() -> None:
    rows = np.array([[0.0], [1.0], [10.0], [11.0]], dtype=np.float32)
    centroids = np.array([[0.5], [10.5]], dtype=np.float32)
    level = balance_level(rows, centroids, None, 1, BalanceSettings("levels"))
    assert (level.offsets == 0).all()
    assert level.centroids.tolist() == [[0.5], [10.5]]
