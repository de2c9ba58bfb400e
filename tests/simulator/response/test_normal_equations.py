import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from hsrl_pipeline.simulator.response.normal_equations import (
    pair_products,
    solve_systems,
    square_matrices,
)


def test_each_pair_is_multiplied_once():
    products = pair_products(np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 4.0]]))
    assert_array_equal(products, [[1, 2, 3, 4, 6, 9], [0, 0, 0, 1, -4, 16]])


def test_products_become_rows_times_themselves():
    rows = np.random.default_rng(0).normal(size=(5, 4))
    squares = square_matrices(pair_products(rows), 4)
    assert_array_equal(squares, np.einsum("rd,re->rde", rows, rows))


def test_sums_of_products_become_sums_of_matrices():
    products = pair_products(np.array([[1.0, 2.0], [3.0, 1.0]]))
    assert_array_equal(square_matrices(products.sum(0, keepdims=True), 2), [[[10, 5], [5, 5]]])


def test_solutions_and_inverses_worked_out_by_hand():
    matrices = np.array([[[2.0, 1.0], [1.0, 1.0]], [[4.0, 0.0], [0.0, 2.0]]])
    solved, inverses = solve_systems(matrices, np.array([[3.0, 2.0], [4.0, 1.0]]))
    assert_allclose(solved, [[1.0, 1.0], [1.0, 0.5]])
    assert_allclose(inverses, [[[1.0, -1.0], [-1.0, 2.0]], [[0.25, 0.0], [0.0, 0.5]]])
