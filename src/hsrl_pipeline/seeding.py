"""Independent, named random streams from one integer seed.

Two parts of a run that draw from streams of different names never influence each other's draws,
so adding a draw in one place does not shift the numbers in another.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, stream: str) -> int:
    """Return a 63-bit seed for the named stream of a run.

    Args:
        seed: The run's seed, at least 0.
        stream: Name of the consumer, for example ``"simulator.train"``.

    Returns:
        An integer in ``[0, 2**63)``.
    """
    sequence = np.random.SeedSequence([seed, zlib.crc32(stream.encode())])
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def fresh_seed() -> int:
    """Return a seed in ``[0, 2**63)`` that nobody knows, from the operating system."""
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(1))


def numpy_generator(seed: int, stream: str) -> np.random.Generator:
    """Return a numpy generator for the named stream of a run."""
    return np.random.default_rng(derive_seed(seed, stream))


def torch_generator(seed: int, stream: str, device: str = "cpu") -> torch.Generator:
    """Return a torch generator on ``device`` for the named stream of a run."""
    import torch

    generator = torch.Generator(device=device)
    generator.manual_seed(derive_seed(seed, stream))
    return generator
