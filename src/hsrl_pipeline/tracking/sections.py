"""Which figures stand at the top of MLflow's pages, and which below in sections of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """How figures are named in MLflow, which groups names by what stands before a slash.

    Attributes:
        name: What stands before the slash; empty for no section.
        headline: Figures that keep their names, because a comparison of runs is about them.
    """

    name: str = ""
    headline: Sequence[str] = ()

    def named(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return figures under the names they have in MLflow.

        Args:
            metrics: Names and values.
        """
        return {self._name(name): value for name, value in metrics.items()}

    def _name(self, name: str) -> str:
        return name if not self.name or name in self.headline else f"{self.name}/{name}"
