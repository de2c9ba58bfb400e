"""The device that parameters ask for."""

from __future__ import annotations

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
