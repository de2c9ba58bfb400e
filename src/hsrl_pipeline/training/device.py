"""Where to train."""

from __future__ import annotations

import torch

from hsrl_pipeline.errors import UserError


def resolve_device(name: str) -> torch.device:
    """Return the torch device for ``training.device``.

    Args:
        name: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UserError: CUDA is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError(
            "CUDA is not available on this machine",
            where="training.device",
            remedy="Use training.device=auto or cpu.",
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")
