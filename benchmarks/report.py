"""What a benchmark reports, and where it is written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from hsrl_pipeline.atomic import staged_path

RESULTS = Path(__file__).parent / "results.json"


@dataclass(frozen=True)
class BenchmarkLine:
    """One figure beside its reference.

    Attributes:
        name: What was measured.
        value: The figure.
        unit: Its unit.
        reference: What it is compared with, measured in the same run or a stated bar.
        ratio: The figure divided by its reference; None where there is none.
    """

    name: str
    value: float
    unit: str
    reference: str
    ratio: float | None = None

    def __str__(self) -> str:
        ratio = "" if self.ratio is None else f", ratio {self.ratio:.3g}"
        return f"{self.name} {self.value:.4g} {self.unit} (reference: {self.reference}{ratio})"


def write_results(lines: Iterable[BenchmarkLine], path: Path = RESULTS) -> None:
    """Write the figures of one run, atomically."""
    with staged_path(path) as staging:
        staging.write_text(json.dumps([asdict(line) for line in lines], indent=2) + "\n")
