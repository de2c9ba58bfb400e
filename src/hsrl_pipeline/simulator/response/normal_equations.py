"""Many small least-squares problems at once, each a symmetric matrix and a right-hand side."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray


def pair_products(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the products of each row's numbers with one another, each pair once.

    Args:
        rows: (row, width) float64.

    Returns:
        (row, width * (width + 1) / 2) float64. The upper triangle of the row times itself.
    """
    first, second = np.triu_indices(rows.shape[1])
    return np.asarray(rows[:, first] * rows[:, second])


def square_matrices(products: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Return products of pairs, or sums of them, as symmetric matrices.

    Args:
        products: (row, width * (width + 1) / 2) float64. As ``pair_products`` orders them.
        width: Rows and columns of a matrix.

    Returns:
        (row, width, width) float64.
    """
    first, second = np.triu_indices(width)
    places = np.zeros((width, width), dtype=np.int64)
    places[first, second] = places[second, first] = np.arange(len(first))
    return products[:, places]


def solve_systems(
    matrices: NDArray[np.float64], targets: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the solutions of positive definite systems by Cholesky, and the inverses.

    Args:
        matrices: (row, width, width) float64.
        targets: (row, width) float64.

    Returns:
        (row, width) and (row, width, width) float64.
    """
    factor = torch.linalg.cholesky(torch.from_numpy(matrices))
    solved = torch.cholesky_solve(torch.from_numpy(targets).unsqueeze(-1), factor).squeeze(-1)
    return solved.numpy(), torch.cholesky_inverse(factor).numpy()
