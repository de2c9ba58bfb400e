"""Where the results of trials and the lists of what belongs to an experiment are kept."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hsrl_pipeline.atomic import staged_path
from hsrl_pipeline.experiments.trial import PartInfo


@dataclass(frozen=True)
class TrialEntry:
    """A trial's place in an experiment.

    Attributes:
        key: Names its result.
        part: Part of the grid.
        label: Name in tables.
        variant: Name without the values of the axes.
        agent: The agent behind it.
        seed: Seed of its run.
        dataset: Name of the data.
        regime: ``repeats`` or ``no_repeats``.
        axes: Values of the crossed parameters.
        error: Why it failed, in one line; None if it did not.
    """

    key: str
    part: str
    label: str
    variant: str
    agent: str
    seed: int
    dataset: str
    regime: str
    axes: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Experiment:
    """One grid as it was last run.

    Attributes:
        name: Name of the grid.
        size: ``quick`` or ``full``.
        title: Heading in the report.
        question: What it is to answer.
        parts: What the report says about its parts, by name and in order.
        behaviour: Version of the code's behaviour, the same for all trials.
        commit: Commit it was last started from.
        trials: All that belong to it, also those that have no result yet.
    """

    name: str
    size: str
    title: str
    question: str
    parts: dict[str, PartInfo]
    behaviour: str
    commit: str
    trials: list[TrialEntry]


class ExperimentStore:
    """The folder of all experiments of a project.

    ``trials/<key>/result.json`` is a finished trial, ``experiments/<name>.json`` the list of one
    grid. Both are written in one step, so what is there is whole.

    Args:
        folder: Its folder; need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def trial_folder(self, key: str) -> Path:
        """Return the folder that a trial works in."""
        return self.folder / "trials" / key

    def has_result(self, key: str) -> bool:
        """Return whether a trial is finished."""
        return self._result(key).is_file()

    def save_result(self, key: str, result: Mapping[str, Any]) -> None:
        """Keep a finished trial: what it was, what it found, and the rows of its summary."""
        _write(self._result(key), result)

    def load_result(self, key: str) -> dict[str, Any]:
        """Return a finished trial.

        Raises:
            FileNotFoundError: It is not finished.
        """
        result: dict[str, Any] = json.loads(self._result(key).read_text())
        return result

    def save_experiment(self, experiment: Experiment, dataset: str | None) -> None:
        """Keep the list of a grid, in place of that of an earlier start.

        Args:
            experiment: The list.
            dataset: The environment that took the place of the grid's own datasets, if one did.
        """
        name = f"{experiment.name}-{experiment.size}" + (f"-{dataset}" if dataset else "")
        _write(self.folder / "experiments" / f"{name}.json", asdict(experiment))

    def experiments(self) -> list[Experiment]:
        """Return the lists of all grids, by name."""
        found = []
        for path in sorted((self.folder / "experiments").glob("*.json")):
            content = json.loads(path.read_text())
            content["parts"] = {name: PartInfo(**part) for name, part in content["parts"].items()}
            content["trials"] = [TrialEntry(**entry) for entry in content["trials"]]
            found.append(Experiment(**content))
        return found

    def simulator_metrics(self, name: str) -> dict[str, float]:
        """Return how well the simulators fit the log that trials were judged on.

        Args:
            name: Folder of the step that made them, as results name it.

        Returns:
            Figures by name; empty where the folder is gone.
        """
        pattern = f"steps/{name}/data/08_reporting/*/simulator_metrics.json"
        found = next(self.folder.glob(pattern), None)
        metrics: dict[str, float] = json.loads(found.read_text()) if found else {}
        return metrics

    def _result(self, key: str) -> Path:
        return self.trial_folder(key) / "result.json"


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with staged_path(path) as staging:
        staging.write_text(json.dumps(_plain(content), indent=1, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """Return a tree that JSON knows: figures that are not defined are null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
