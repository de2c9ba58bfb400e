"""One step of an experiment: a Kedro session in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsrl_pipeline.atomic import staged_path
from hsrl_pipeline.experiment_runs.stages import pipeline_of
from hsrl_pipeline.experiments.store import ExperimentStore

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext

RAW = "raw_folder"
REFERENCES = "reference_records"

DONE = "done.json"
LOG = "log.txt"

CURVE_POINTS = 100
"""About how many points of a training curve are kept with a result."""


@dataclass(frozen=True)
class Step:
    """What a process needs to know to run a step.

    Attributes:
        project: The project's root: raw data and the store of runs are there.
        conf: Its configuration.
        store: Folder of all experiments.
        folder: Where the step works; its catalog's paths start here.
        sources: Folders of the steps it reads from.
        pipelines: What it runs.
        env: Environment of the configuration.
        params: Nested parameters that differ from the environment's.
        dataset: Name of its data.
        tags: Of its MLflow run.
        trial: Key and facts of the trial that it is; None for a shared step.
    """

    project: Path
    conf: Path
    store: Path
    folder: Path
    sources: tuple[Path, ...]
    pipelines: tuple[str, ...]
    env: str
    params: Mapping[str, Any]
    dataset: str
    tags: Mapping[str, str]
    trial: Mapping[str, Any] | None = None

    def is_done(self) -> bool:
        """Return whether an earlier start has finished it."""
        if self.trial is not None:
            return ExperimentStore(self.store).has_result(self.trial["key"])
        return (self.folder / DONE).is_file()

    def facts(self) -> dict[str, Any]:
        """Return what a finished shared step says about itself."""
        facts: dict[str, Any] = json.loads((self.folder / DONE).read_text())
        return facts


def run_step(step: Step) -> None:
    """Run a step from its beginning; what it printed is in ``log.txt`` of its folder.

    Args:
        step: The step.
    """
    shutil.rmtree(step.folder / "data", ignore_errors=True)
    step.folder.mkdir(parents=True, exist_ok=True)
    with _output_to(step.folder / LOG):
        try:
            _run(step)
        except BaseException:
            traceback.print_exc()
            raise


def _run(step: Step) -> None:
    from kedro.framework.project import configure_project
    from kedro.framework.session import KedroServiceSession

    from hsrl_pipeline.tracking.run import RunSetting, set_run_setting

    before = time.process_time()
    configure_project(__name__.partition(".")[0])
    set_run_setting(RunSetting(project=step.project, tags=step.tags))
    session = KedroServiceSession.create(
        project_path=step.folder, env=step.env, conf_source=str(step.conf)
    )
    try:
        context = session.load_context(dict(step.params))
        _link_inputs(step, context)
        session.run(pipeline_names=list(step.pipelines), runtime_params=dict(step.params))
    finally:
        session.close()
    if step.trial is None:
        _keep_facts(step, context)
    else:
        _keep_result(step, context, time.process_time() - before)


def _paths(context: KedroContext) -> dict[str, Path]:
    """Return the files of the catalog by name, relative to the folder."""
    catalog = context.config_loader["catalog"]
    return {
        name: Path(entry["filepath"])
        for name, entry in catalog.items()
        if isinstance(entry, Mapping) and "filepath" in entry
    }


def _link_inputs(step: Step, context: KedroContext) -> None:
    """Put links to what other steps have made where the catalog looks for it."""
    paths = _paths(context)
    for name in pipeline_of(step.pipelines).inputs():
        if name not in paths:
            continue
        path = paths[name]
        if name == RAW:
            made = step.project / path
        elif name == REFERENCES:
            made = step.store / "references" / path.parent.name
            made.mkdir(parents=True, exist_ok=True)
        else:
            found = (source / path for source in step.sources)
            made = next((file for file in found if file.exists()), Path())
            if made == Path():
                continue  # a folder of its own, or what Kedro will name as missing
        link = step.folder / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(made.resolve())


def _keep_facts(step: Step, context: KedroContext) -> None:
    facts: dict[str, Any] = {"tags": dict(step.tags)}
    info = step.folder / _paths(context)["dataset_info"]
    if "ingestion" in step.pipelines:
        facts["dataset_version"] = json.loads(info.read_text())["version"]
    with staged_path(step.folder / DONE) as staging:
        staging.write_text(json.dumps(facts, indent=1) + "\n")


def _keep_result(step: Step, context: KedroContext, seconds: float) -> None:
    import pandas as pd

    from hsrl_pipeline.experiments.moving_rows import rows_of_moving
    from hsrl_pipeline.experiments.trial_tables import LEVEL_WEIGHT
    from hsrl_pipeline.io.shared_tables import SummaryDataset

    assert step.trial is not None
    paths = _paths(context)
    store = ExperimentStore(step.store)
    result = {**step.trial, "seconds": seconds, "level_weights": []}
    if "moving_evaluation" in step.pipelines:
        moving = pd.read_csv(step.folder / paths["moving_summary"])
        areas = pd.read_csv(step.folder / paths["moving_regret"])
        result |= {
            "rows": rows_of_moving(moving),
            "moving": moving.to_dict("records"),
            "areas": areas.to_dict("records"),
        }
        store.save_result(step.trial["key"], result)
        return
    summary = SummaryDataset(filepath=str(step.folder / paths["summary"])).load()
    history = pd.read_parquet(step.folder / paths["training_history"])
    weights = [name for name in history.columns if name.startswith(LEVEL_WEIGHT)]
    thinned = history.iloc[:: max(1, len(history) // CURVE_POINTS)]
    result["rows"] = summary.to_dict("records")
    if weights:
        result["level_weights"] = thinned[["iteration", *weights]].to_dict("records")
    store.save_result(step.trial["key"], result)


@contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Send all that this process prints to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with path.open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for own, number in zip(kept, (1, 2), strict=True):
                os.dup2(own, number)
                os.close(own)
