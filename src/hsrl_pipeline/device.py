"""The device that parameters ask for, and how many threads compute on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hsrl_pipeline.errors import UserError


def resolve_device(name: str, where: str) -> torch.device:
    """Return the torch device for a parameter's value.

    Args:
        name: ``auto``, ``cpu`` or ``cuda``.
        where: The parameter, for the message.

    Raises:
        UserError: CUDA is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError(
            "CUDA is not available on this machine",
            where=where,
            remedy=f"Use {where}=auto or cpu.",
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch compute on a single thread, as a context or as the decorator of a function.

    More threads make many small operations slower, most of all beside other work on the machine,
    and the last bits of a sum depend on how many share it: on one thread results are the same
    on any number of cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
