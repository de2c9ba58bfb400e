"""The base of every parameter model."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FrozenConfig(BaseModel):
    """Immutable parameters that refuse unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
