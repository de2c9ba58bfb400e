"""Registers the Gymnasium ids; imported with the package, so it must stay light."""

from __future__ import annotations

import gymnasium

ENVIRONMENT_ID = "hsrl_pipeline/SlateRec-v0"


def register_environments() -> None:
    """Register ``hsrl_pipeline/SlateRec-v0`` for ``gymnasium.make`` and ``gymnasium.make_vec``.

    The entry points are named, not imported: torch and the data stack are loaded when an
    environment is made.
    """
    if ENVIRONMENT_ID in gymnasium.registry:
        return
    gymnasium.register(
        ENVIRONMENT_ID,
        entry_point="hsrl_pipeline.io.project_env:make_slate_env",
        vector_entry_point="hsrl_pipeline.io.project_env:make_slate_vector_env",
    )
