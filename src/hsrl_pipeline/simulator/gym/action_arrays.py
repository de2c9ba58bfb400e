"""Actions in whatever form they come, as one tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

LARGEST = np.iinfo(np.int64).max


def action_tensor(actions: Any, device: torch.device | str = "cpu") -> torch.Tensor:
    """Return actions as a tensor, whole numbers of any width as int64.

    Args:
        actions: Numpy array, tensor of any device, or lists and tuples of numbers or of these.
        device: Where the tensor shall live.

    Raises:
        ValueError: The actions are no array of numbers.
    """
    if not isinstance(actions, torch.Tensor):
        return torch.as_tensor(_number_array(actions), device=device)
    kind = actions.dtype
    if kind.is_floating_point:
        return actions.to(device)
    if kind is torch.bool or kind.is_complex:
        raise ValueError(f"actions have dtype {kind}, expected numbers")
    if kind is torch.uint64 and bool((actions.view(torch.int64) < 0).any()):
        raise ValueError(f"actions hold a number above {LARGEST}")
    return actions.to(device, torch.int64)


def _number_array(actions: Any) -> NDArray[Any]:
    """Return an int64 or floating array that torch can take over."""
    if isinstance(actions, list | tuple):
        actions = [a.cpu() if isinstance(a, torch.Tensor) else a for a in actions]
    try:
        array = np.asarray(actions)
    except Exception as error:  # anything may hide behind __array__ or __iter__
        raise ValueError(f"actions are no array of numbers: {error}") from error
    if array.dtype.kind == "f" and isinstance(actions, list):
        # numpy makes one float array of numbers of uint64 and of int64
        array = _exact(actions, array)
    if array.dtype.kind == "f":
        native = array.dtype.newbyteorder("=")
        return array.astype(np.float64 if native.itemsize > np.float64().itemsize else native)
    if array.dtype.kind not in "iu":
        raise ValueError(f"actions have dtype {array.dtype}, expected numbers")
    if array.size and array.max() > LARGEST:
        raise ValueError(f"actions hold a number above {LARGEST}")
    return array.astype(np.int64)


def _exact(actions: list[Any], array: NDArray[Any]) -> NDArray[Any]:
    """Return the numbers of lists as int64 where all of them are whole by their type."""
    numbers = np.asarray(actions, dtype=object)
    if numbers.size and all(isinstance(n, int | np.integer) for n in numbers.flat):
        return numbers.astype(np.int64) if max(numbers.flat) <= LARGEST else array
    return array
