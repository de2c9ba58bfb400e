"""A grid from its file to the results of its trials."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.experiment_runs.plan import GRIDS, Planner, SharedStep
from hsrl_pipeline.experiment_runs.stages import TRIALS, Stage
from hsrl_pipeline.experiment_runs.step import LOG, Step, run_step
from hsrl_pipeline.experiments.grid import read_grid
from hsrl_pipeline.experiments.grid_file import Size
from hsrl_pipeline.experiments.grid_summary import grid_figures
from hsrl_pipeline.experiments.pool import Job, Pool, ProcessPool
from hsrl_pipeline.experiments.store import Experiment, ExperimentStore, TrialEntry
from hsrl_pipeline.experiments.trial import Trial
from hsrl_pipeline.progress import Progress

if TYPE_CHECKING:
    from hsrl_pipeline.tracking.grid_runs import GridRuns

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GridOutcome:
    """How a grid ended.

    Attributes:
        finished: Trials with a result, from this start or an earlier one.
        skipped: Those of them that earlier starts had finished.
        failed: One line per trial that failed.
    """

    finished: int
    skipped: int
    failed: Sequence[str]


def run_grid(
    project: Path,
    conf: Path,
    name: str,
    *,
    size: Size = "quick",
    dataset: str | None = None,
    make_pool: Callable[[], Pool] | None = None,
    tracked: bool = True,
) -> GridOutcome:
    """Run all trials of a grid that have no result yet.

    Args:
        project: The project's root.
        conf: Its configuration; the grid is ``experiments/<name>.yml`` there.
        name: Name of the grid.
        size: Which of its sizes.
        dataset: An environment that takes the place of the grid's datasets.
        make_pool: Where trials run; by default in one process per core.
        tracked: Whether the grid has a run in MLflow above those of its trials.

    Returns:
        How many have a result now, and what went wrong with the others.

    Raises:
        UserError: The grid does not exist, something in it is wrong, or the store of runs does not
            answer; nothing was run.
    """
    path = _grid_path(conf, name)
    grid = read_grid(path, size, dataset)
    planner = Planner(project, conf, grid)
    planner.check(path)
    runs = _open_runs(planner) if tracked else None
    pool = make_pool() if make_pool else ProcessPool(run_step, os.cpu_count() or 1)
    grid_run = _GridRun(planner, pool, runs)
    status = "KILLED"
    try:
        outcome = grid_run.run(dataset)
        status = "FAILED" if outcome.failed else "FINISHED"
        return outcome
    finally:
        pool.close()
        if runs is not None:
            runs.end(status, grid_run.figures())


def _open_runs(planner: Planner) -> GridRuns:
    from hsrl_pipeline.tracking.grid_runs import GridRuns

    return GridRuns(
        planner.project,
        name=planner.grid.name,
        size=planner.grid.size,
        behaviour=planner.behaviour,
        question=planner.grid.question,
        datasets=[planner.dataset_name(trial.dataset) for trial in planner.grid.trials],
    )


def grid_names(conf: Path) -> list[str]:
    """Return the names of the grids of a configuration.

    Args:
        conf: Its folder.
    """
    return sorted(path.stem for path in (conf / GRIDS).glob("*.yml"))


def _grid_path(conf: Path, name: str) -> Path:
    known = grid_names(conf)
    if name not in known:
        raise UserError(
            f"there is no grid '{name}'",
            where=str(conf / GRIDS),
            remedy=f"Grids: {', '.join(known)}." if known else "Write one: docs/experiments.md.",
        )
    return conf / GRIDS / f"{name}.yml"


class _GridRun:
    """The trials of a grid on their way to results."""

    def __init__(self, planner: Planner, pool: Pool, runs: GridRuns | None) -> None:
        self._planner = planner
        self._runs = runs
        self._pool = pool
        self._store = ExperimentStore(planner.store)
        self._made: dict[int, dict[str, SharedStep]] = {}
        self._errors: dict[int, str] = {}
        self._failed: list[str] = []
        self._entries: list[TrialEntry] = []

    def run(self, dataset: str | None) -> GridOutcome:
        planner, grid = self._planner, self._planner.grid
        made: set[str] = set()
        shared = [stage for stage in planner.stages.values() if stage.name not in TRIALS]
        while wave := [
            stage for stage in shared if stage.name not in made and made >= {*stage.reads}
        ]:
            self._make_shared(wave)
            made |= {stage.name for stage in wave}
        steps = {
            number: planner.trial_step(trial, self._made[number])
            for number, trial in enumerate(grid.trials)
            if number not in self._errors
        }
        done = {number for number, step in steps.items() if step.is_done()}
        self._note_reuse([steps[number] for number in sorted(done)])
        self._save_list(steps, dataset)
        logger.info(
            "%s (%s): %d trials, %d of them finished earlier; %d at a time",
            grid.name,
            grid.size,
            len(grid.trials),
            len(done),
            self._pool.n_workers,
        )
        failures = self._perform(
            {step.folder.name: step for number, step in steps.items() if number not in done},
            {step.folder.name: grid.trials[number].name for number, step in steps.items()},
            f"{grid.name} ({grid.size})",
            "trials",
            already=len(done),
        )
        for number, step in steps.items():
            if step.folder.name in failures:
                self._errors[number] = failures[step.folder.name]
        self._save_list(steps, dataset)
        return GridOutcome(
            finished=len(grid.trials) - len(self._errors), skipped=len(done), failed=self._failed
        )

    def _make_shared(self, wave: Sequence[Stage]) -> None:
        """Make the steps of stages that trials read from, each once."""
        planner = self._planner
        users: dict[str, list[int]] = {}
        steps: dict[str, SharedStep] = {}
        for number, trial in enumerate(planner.grid.trials):
            if number in self._errors:
                continue
            made = self._made.setdefault(number, {})
            asked = [
                planner.shared(stage, trial, made) for stage in wave if planner.reads(trial, stage)
            ]
            for shared in asked:
                name = shared.step.folder.name
                made[shared.stage.name] = steps.setdefault(name, shared)
                users.setdefault(name, []).append(number)
        stages = {name: shared.stage.name for name, shared in steps.items()}
        failures = self._perform(
            {name: shared.step for name, shared in steps.items() if not shared.step.is_done()},
            {name: f"{stages[name]} for {len(numbers)} trials" for name, numbers in users.items()},
            f"{planner.grid.name}: {', '.join(stage.name for stage in wave)}",
            "steps",
        )
        for name, error in failures.items():
            self._errors |= dict.fromkeys(users[name], f"{stages[name]} failed: {error}")

    def _perform(
        self,
        steps: Mapping[str, Step],
        names: Mapping[str, str],
        what: str,
        unit: str,
        already: int = 0,
    ) -> dict[str, str]:
        """Run steps in the pool; return what went wrong by name."""
        failures: dict[str, str] = {}
        if not steps:
            return failures
        jobs = [Job(name, self._below_its_grid(step)) for name, step in steps.items()]
        with Progress(what, len(jobs) + already, unit) as progress:
            progress.start_at(already)
            for outcome in self._pool.outcomes(jobs):
                progress.advance()
                if outcome.error is None:
                    continue
                name = outcome.job.key
                failures[name] = outcome.error
                log = (steps[name].folder / LOG).relative_to(self._planner.project)
                line = f"{names[name]}: {outcome.error} (log: {log})"
                self._failed.append(line)
                logger.error("Failed: %s", line)
        return failures

    def _below_its_grid(self, step: Step) -> Step:
        """Return a step whose run stands below that of the grid."""
        if self._runs is None:
            return step
        return replace(step, tags={**step.tags, **self._runs.child_tags(step.dataset)})

    def figures(self) -> dict[str, dict[str, float]]:
        """Return what the grid has found so far, by dataset."""
        results = {
            entry.key: self._store.load_result(entry.key)
            for entry in self._entries
            if entry.key and self._store.has_result(entry.key)
        }
        datasets: dict[str, list[TrialEntry]] = {}
        for entry in self._entries:
            datasets.setdefault(entry.dataset, []).append(entry)
        return {name: grid_figures(entries, results) for name, entries in datasets.items()}

    def _note_reuse(self, steps: Sequence[Step]) -> None:
        """Name this experiment with the runs of trials that another one has made."""
        name = self._planner.grid.name
        keys = [
            step.trial["key"]
            for step in steps
            if step.trial and self._store.load_result(step.trial["key"])["experiment"] != name
        ]
        if keys:
            from hsrl_pipeline.tracking.reuse import note_reuse

            note_reuse(self._planner.project, name, keys)

    def _save_list(self, steps: Mapping[int, Step], dataset: str | None) -> None:
        planner, grid = self._planner, self._planner.grid
        self._entries = [
            _entry(
                trial,
                planner.dataset_name(trial.dataset),
                steps[number].folder.name if number in steps else "",
                self._errors.get(number),
            )
            for number, trial in enumerate(grid.trials)
        ]
        experiment = Experiment(
            name=grid.name,
            size=grid.size,
            title=grid.title,
            question=grid.question,
            parts=dict(grid.parts),
            behaviour=planner.behaviour,
            commit=planner.commit,
            trials=self._entries,
        )
        self._store.save_experiment(experiment, dataset)


def _entry(trial: Trial, dataset: str, key: str, error: str | None) -> TrialEntry:
    return TrialEntry(
        key=key,
        part=trial.part,
        label=trial.label,
        variant=trial.variant,
        agent=trial.agent,
        seed=trial.seed,
        dataset=dataset,
        regime=trial.regime,
        axes=dict(trial.axes),
        error=error,
    )
