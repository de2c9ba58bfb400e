"""What a grid consists of: trials, and what the report says of its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hsrl_pipeline.config.dotted_names import nested
from hsrl_pipeline.config.session import Regime
from hsrl_pipeline.experiments.grid_file import Size


@dataclass(frozen=True)
class Trial:
    """One agent trained and judged once.

    Attributes:
        part: Part of the grid.
        label: Name in tables, rows and runs.
        agent: The agent behind it.
        seed: Seed of its run.
        dataset: Environment of ``conf/``.
        regime: Whether items may be shown again in a session.
        variant: Name without the values of the axes.
        axes: Values of the crossed parameters.
        parameters: Flat parameters that differ from the environment's.
        origins: Key of the file that each of them comes from.
    """

    part: str
    label: str
    agent: str
    seed: int
    dataset: str
    regime: Regime
    variant: str
    axes: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.label}, seed {self.seed}, {self.dataset}, {self.regime}"

    def overrides(self) -> dict[str, Any]:
        """Return what the run is told, nested as ``--params`` are."""
        pairs: dict[str, Any] = {
            **self.parameters,
            "seed": self.seed,
            "agent.name": self.agent,
            "candidates.exclude_shown": self.regime == "no_repeats",
        }
        if self.label != self.agent:
            pairs["agent.label"] = self.label
        return nested(pairs)


@dataclass(frozen=True)
class PartInfo:
    """What the report says about a part.

    Attributes:
        title: Heading; may be empty.
        baseline: Policy that the others are compared with.
        level_weights: Whether the weights of critics' levels are drawn.
    """

    title: str
    baseline: str
    level_weights: bool = False


@dataclass(frozen=True)
class Grid:
    """A grid in one of its sizes.

    Attributes:
        name: Name of its file.
        size: ``quick`` or ``full``.
        title: Heading in the report.
        question: What it is to answer.
        parts: What the report says about its parts, by name and in order.
        trials: All of them, in the order to run.
    """

    name: str
    size: Size
    title: str
    question: str
    parts: Mapping[str, PartInfo]
    trials: Sequence[Trial]
