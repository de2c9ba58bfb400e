"""Axis glossary, the padding index and the checks of shape and type used at public entries.

Axes (use these words in docstrings): ``batch`` parallel sessions or rows, ``slate`` the K
positions of one recommendation, ``history`` the H most recent clicked items, ``level`` the L
levels of a semantic ID, ``vocab`` the V codes of one level, ``item`` the catalogue with row 0 for
padding (``n_items + 1`` rows), ``embed`` the width d of a representation, ``field`` categorical
user features, ``dense`` numeric user features.
"""

from __future__ import annotations

from typing import Protocol

PAD_ID = 0
"""Item and user index of an empty slot; real items and users are numbered from 1."""


class _Shaped(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...


class _Typed(Protocol):
    @property
    def dtype(self) -> object: ...


def check_dtype(name: str, array: _Typed, expected: str) -> None:
    """Refuse an array whose elements are of another type than expected.

    Args:
        name: What the array is called in the message.
        array: Anything with a ``dtype``: numpy array or torch tensor.
        expected: Name of the type, for example ``int64`` or ``bool``. ``float`` accepts every
            floating type, because mixed precision computes some terms in bfloat16.

    Raises:
        ValueError: The type differs.
    """
    dtype = str(array.dtype).removeprefix("torch.")
    if not ("float" in dtype if expected == "float" else dtype == expected):
        raise ValueError(f"{name} has dtype {dtype}, expected {expected}")


def check_shape(name: str, array: _Shaped, *axes: int | None) -> None:
    """Refuse an array whose rank or axis lengths differ from what is expected.

    Args:
        name: What the array is called in the message.
        array: Anything with a ``shape``: numpy array or torch tensor.
        *axes: Expected length of each axis; ``None`` accepts any length.

    Raises:
        ValueError: The rank or the length of an axis differs.
    """
    shape = tuple(array.shape)
    matches = len(shape) == len(axes) and all(
        expected is None or expected == actual
        for expected, actual in zip(axes, shape, strict=False)
    )
    if not matches:
        wanted = ", ".join("any" if axis is None else str(axis) for axis in axes)
        raise ValueError(f"{name} has shape {shape}, expected ({wanted})")
