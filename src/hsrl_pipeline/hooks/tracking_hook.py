"""One named MLflow run per Kedro run; the catalog's metadata says what goes into it."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from hsrl_pipeline.config.root import validate_parameters
from hsrl_pipeline.provenance import provenance_of
from hsrl_pipeline.tracking.metric_stream import MetricStream
from hsrl_pipeline.tracking.origin import source_tags, tracked_data
from hsrl_pipeline.tracking.run import TrackedRun, active_run, run_setting, set_active_run
from hsrl_pipeline.tracking.store import EXPERIMENT_PREFIX

COMMAND = "kedro run"
MODEL_TYPE = "policy checkpoint"
LONGEST_TAG = 4000


class TrackingHook:
    """Open, fill and close the MLflow run.

    The ``metadata: mlflow:`` of a dataset says what happens when it is saved: ``artifact: true``
    logs its file, ``model: true`` enters its file among the experiment's models, ``metrics: true``
    logs its figures.
    """

    def __init__(self) -> None:
        self._project = Path()
        self._parameters: dict[str, Any] = {}
        self._dataset = ""
        self._label = ""
        self._regime = ""
        self._context = ""
        self._catalog: DataCatalog | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember what the run's name and tags are made of."""
        self._project = run_setting().project or Path(context.project_path)
        tree = validate_parameters(context.config_loader["parameters"])
        self._parameters = tree.model_dump(mode="json")
        self._label = tree.agent.shown_name
        self._regime = tree.candidates.regime
        self._dataset = str(context.config_loader["globals"]["dataset"])

    @hook_impl(trylast=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Start the run, after every other check has passed."""
        self._catalog = catalog
        agent: str = self._parameters["agent"]["name"]
        label = self._label
        seed = str(self._parameters["seed"])
        names = run_params.get("pipeline_names") or ["__default__"]
        uses_agent = bool({"trained_policy", "timetable_serving"} & pipeline.datasets())
        self._context = _context_of(pipeline)
        run = TrackedRun(
            self._project,
            f"{EXPERIMENT_PREFIX}{self._dataset}",
            f"{label}-seed{seed}" if uses_agent else f"{'+'.join(names)}-seed{seed}",
            {
                "dataset": self._dataset,
                "seed": seed,
                "pipelines": ",".join(names),
                "regime": self._regime,
                **({"agent": agent, "label": label} if uses_agent else {}),
                **source_tags(self._project, COMMAND),
                **run_setting().tags,
            },
        )
        settings = {agent: self._parameters["agents"][agent]}
        run.log_params({**self._parameters, "agents": settings})
        set_active_run(run)
        if (
            self._context
            and "dataset_info" not in pipeline.all_outputs()
            and catalog.exists("dataset_info")
        ):
            self._log_data(run, catalog.load("dataset_info"))

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Tag the run with the codebook it works on."""
        self._tag_codebook(dataset_name, data)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log what the catalog marks, and the codebook's version."""
        run = active_run()
        if run is None or self._catalog is None:
            return
        self._tag_codebook(dataset_name, data)
        dataset: Any = self._catalog.get(dataset_name)
        marks = (getattr(dataset, "metadata", None) or {}).get("mlflow", {})
        if marks.get("metrics"):
            run.log_metrics(data)
        if marks.get("artifact"):
            run.log_artifact(Path(str(dataset._filepath)))
        if marks.get("model"):
            self._log_model(run, Path(str(dataset._filepath)), data)
        if dataset_name == "dataset_info":
            self._log_data(run, data)

    @hook_impl
    def after_node_run(self, inputs: dict[str, Any]) -> None:
        """Write the last points of the curves that the node sent."""
        self._flush(inputs)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """End the run as finished."""
        self._end("FINISHED")

    @hook_impl
    def on_node_error(self, node: Node, inputs: dict[str, Any]) -> None:
        """Keep the curves so far, and where it went wrong, with the run."""
        self._flush(inputs)
        run = active_run()
        if run is not None:
            run.set_tag("failed_node", node.name)

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """End the run as failed, with the reason."""
        run = active_run()
        if run is not None:
            reason = "".join(traceback.format_exception_only(error))
            run.set_tag("error", reason[-LONGEST_TAG:])
        self._end("FAILED")

    def _flush(self, inputs: dict[str, Any]) -> None:
        for value in inputs.values():
            if isinstance(value, MetricStream):
                value.flush()

    def _end(self, status: str) -> None:
        run = active_run()
        if run is not None:
            run.end(status)
            set_active_run(None)

    def _log_data(self, run: TrackedRun, info: Any) -> None:
        log: Any = self._catalog.get("interactions") if self._catalog is not None else None
        path = getattr(log, "_filepath", None)
        run.log_dataset(tracked_data(info, path and Path(str(path)), self._context))

    def _log_model(self, run: TrackedRun, path: Path, data: Any) -> None:
        """Enter a policy among MLflow's models by name and version."""
        tags = {
            "agent": str(self._parameters["agent"]["name"]),
            "dataset": self._dataset,
            "regime": self._regime,
            "seed": str(self._parameters["seed"]),
            **{
                name: str(value)
                for name, value in provenance_of(data).items()
                if name.endswith("version")
            },
        }
        run.log_model(path, f"{self._label}-seed{self._parameters['seed']}", MODEL_TYPE, tags)

    def _tag_codebook(self, dataset_name: str, data: Any) -> None:
        run = active_run()
        if run is not None and dataset_name in ("codebook", "launch_codebook"):
            run.set_tag("codebook_version", str(data.version))


def _context_of(pipeline: Pipeline) -> str:
    """Return what a run does with the data; nothing for one that concerns several datasets."""
    policies = {"trained_policy", "timetable_serving"}
    if policies & pipeline.all_outputs():
        return "training"
    if policies & pipeline.inputs():
        return "evaluation"
    if "dataset_info" in pipeline.all_outputs():
        return "ingestion"
    return "fitting" if "dataset_info" in pipeline.inputs() else ""
