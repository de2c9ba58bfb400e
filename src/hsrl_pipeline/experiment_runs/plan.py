"""The steps behind the trials of a grid, each with the key of all that decides its numbers."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from hsrl_pipeline.config.root import validate_parameters
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.experiment_runs.stages import MOVING_TRIAL, TRIAL, Stage, project_stages
from hsrl_pipeline.experiment_runs.step import Step
from hsrl_pipeline.experiments.trial import Grid, Trial
from hsrl_pipeline.experiments.versions import behaviour_version, commit_of, settings_key

STORE = Path("data") / "07_model_output" / "experiments"
"""Folder of all experiments in a project."""

GRIDS = "experiments"
"""Folder of the grids in the configuration."""

NO_DATASETS = {"base", "local", GRIDS}
"""Folders of the configuration that are no environment of a dataset."""


@dataclass(frozen=True)
class SharedStep:
    """A step that several trials read from.

    Attributes:
        stage: Its stage.
        step: The step.
        facts: What decides its numbers, apart from the raw files.
    """

    stage: Stage
    step: Step
    facts: Mapping[str, Any]

    def version(self) -> dict[str, Any]:
        """Return what its readers' keys hold of it, once it is done."""
        return {**self.facts, "data": self.step.facts().get("dataset_version")}


class Planner:
    """Makes the steps of a grid's trials.

    Args:
        project: The project's root.
        conf: Its configuration.
        grid: The grid.
    """

    def __init__(self, project: Path, conf: Path, grid: Grid) -> None:
        self.project, self.conf, self.grid = project, conf, grid
        self.store = project / STORE
        self.stages = project_stages()
        self.behaviour = behaviour_version()
        self.commit = commit_of(project)
        self._base = cache(self._load)

    def check(self, path: Path) -> None:
        """Refuse environments and parameters that do not exist or are out of range.

        Args:
            path: File of the grid, for the message.

        Raises:
            UserError: Names file, key and parameter.
        """
        known = environments(self.conf)
        for trial in self.grid.trials:
            if trial.dataset not in known:
                raise UserError(
                    f"there is no environment '{trial.dataset}'",
                    where=f"{path}, key datasets",
                    remedy=f"Environments: {', '.join(known)}.",
                )
            try:
                self.parameters(trial)
            except UserError as error:
                places = {
                    f"{place}.{name}"
                    for name, place in trial.origins.items()
                    if f"'{name}'" in error.what or (error.where or "").startswith(name)
                }
                raise UserError(
                    error.what,
                    where=f"{path}, key {' and '.join(sorted(places)) or trial.part}",
                    remedy="Nothing was run. conf/base/parameters*.yml lists every parameter.",
                ) from None

    def parameters(self, trial: Trial) -> dict[str, Any]:
        """Return the whole tree of a trial's parameters, checked, with all defaults."""
        merged = _merged(self._base(trial.dataset)[0], trial.overrides())
        return validate_parameters(merged).model_dump(mode="json")

    def trial_stage(self, trial: Trial) -> Stage:
        """Return the stage that a trial is: of a fixed catalogue, or of one that moves."""
        moving = self.parameters(trial)["catalogue"]["schedule"] == "moving"
        return self.stages[MOVING_TRIAL if moving else TRIAL]

    def reads(self, trial: Trial, stage: Stage) -> bool:
        """Return whether a trial reads from a shared stage, at first or second hand."""
        sources = self.trial_stage(trial).reads
        return stage.name in sources or any(
            stage.name in self.stages[name].reads for name in sources
        )

    def dataset_name(self, environment: str) -> str:
        """Return the name of an environment's data."""
        return self._base(environment)[1]

    def shared(self, stage: Stage, trial: Trial, made: Mapping[str, SharedStep]) -> SharedStep:
        """Return the step of a stage that a trial reads from.

        Args:
            stage: The stage.
            trial: The trial.
            made: Steps of the stages that it reads from, done.
        """
        own = {
            name: value
            for name, value in trial.overrides().items()
            if name in stage.parameters - {"seed"}
        }
        tree = validate_parameters(_merged(self._base(trial.dataset)[0], own))
        facts = {
            "stage": stage.name,
            "dataset": self.dataset_name(trial.dataset),
            "behaviour": self.behaviour,
            "parameters": {
                name: value
                for name, value in tree.model_dump(mode="json").items()
                if name in stage.parameters
            },
            "reads": {name: made[name].version() for name in stage.reads},
        }
        raw = {} if stage.reads else {"raw": self._raw_files}
        step = self._make_step(
            stage,
            trial,
            folder=self.store / "steps" / f"{stage.name}-{settings_key({**facts, **raw})}",
            sources=[made[name].step.folder for name in stage.reads],
            params=own,
        )
        return SharedStep(stage, step, facts)

    def trial_step(self, trial: Trial, made: Mapping[str, SharedStep]) -> Step:
        """Return the step that trains and judges a trial's agent.

        Args:
            trial: The trial.
            made: Steps of the stages that it reads from, done.
        """
        stage = self.trial_stage(trial)
        parameters = self.parameters(trial)
        own = {name: parameters[name] for name in sorted(stage.parameters)}
        own["agents"] = {trial.agent: parameters["agents"][trial.agent]}
        key = settings_key(
            {
                "dataset": self.dataset_name(trial.dataset),
                "behaviour": self.behaviour,
                "parameters": own,
                "reads": {name: made[name].version() for name in stage.reads},
            }
        )
        facts = {
            "key": key,
            "experiment": self.grid.name,
            "label": trial.label,
            "agent": trial.agent,
            "seed": trial.seed,
            "dataset": self.dataset_name(trial.dataset),
            "regime": trial.regime,
            "overrides": dict(trial.parameters),
            "parameters": own,
            "commit": self.commit,
            "behaviour": self.behaviour,
            "simulators": str(made["simulator_training"].step.folder.name),
        }
        return self._make_step(
            stage,
            trial,
            folder=self.store / "trials" / key,
            sources=[made[name].step.folder for name in stage.reads],
            params=trial.overrides(),
            facts=facts,
        )

    def _make_step(
        self,
        stage: Stage,
        trial: Trial,
        *,
        folder: Path,
        sources: list[Path],
        params: Mapping[str, Any],
        facts: Mapping[str, Any] | None = None,
    ) -> Step:
        tags = {
            "experiment": self.grid.name,
            "size": self.grid.size,
            "commit": self.commit,
            "behaviour": self.behaviour,
        }
        if facts is not None:
            tags |= {
                "trial": facts["key"],
                "part": trial.part,
                "variant": trial.variant,
                "axes": json.dumps(dict(trial.axes)),
            }
        return Step(
            project=self.project,
            conf=self.conf,
            store=self.store,
            folder=folder,
            sources=tuple(sources),
            pipelines=stage.pipelines,
            env="local" if trial.dataset == _base_dataset() else trial.dataset,
            params=params,
            dataset=self.dataset_name(trial.dataset),
            tags=tags,
            trial=facts,
        )

    def _load(self, environment: str) -> tuple[dict[str, Any], str]:
        """Return parameters and name of the data of an environment."""
        from kedro.config import OmegaConfigLoader

        from hsrl_pipeline.io.project_artifacts import CONF_READING

        env = None if environment == _base_dataset() else environment
        loader = OmegaConfigLoader(conf_source=str(self.conf), env=env, **CONF_READING)
        return dict(loader["parameters"]), str(loader["globals"]["dataset"])

    @cached_property
    def _raw_files(self) -> list[list[Any]]:
        """Names, sizes and times of the raw files: when they change, data are read again."""
        folder = self.project / "data" / "01_raw"
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return [
            [str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns]
            for path in files
        ]


def environments(conf: Path) -> list[str]:
    """Return the names that a grid's ``datasets`` may have.

    Args:
        conf: Folder of the configuration.
    """
    found = {folder.name for folder in conf.iterdir() if folder.is_dir()} - NO_DATASETS
    return sorted(found | {_base_dataset()})


def _base_dataset() -> str:
    from hsrl_pipeline.io.project_artifacts import BASE_DATASET

    return BASE_DATASET


def _merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with nested overrides put in, as Kedro does."""
    merged = copy.copy(dict(base))
    for name, value in overrides.items():
        below = merged.get(name)
        if isinstance(value, Mapping):
            merged[name] = _merged(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged
