"""The project's ``kedro run``: what a user can put right is one message, not a traceback."""

from __future__ import annotations

import copy
import difflib
import errno
import logging
import os
import signal
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.pipeline import Pipeline

from hsrl_pipeline.errors import SaidOnceFilter, UserError, user_error_in
from hsrl_pipeline.serving_commands import SERVING_COMMANDS


@click.group(name="hsrl_pipeline")
def cli() -> None:
    """Commands of this project."""


STOPS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a run: a scheduler's, and that of a terminal that was closed."""


def _stop(number: int, _frame: FrameType | None) -> None:
    """End like an interrupt does, so that the run is marked as killed."""
    raise SystemExit(128 + number)


def _with_messages(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command callback that turns user errors into one message and exit code 1."""

    def checked(**options: Any) -> Any:
        for stop in STOPS:
            # nohup has a run ignore SIGHUP, and that stays so
            if signal.getsignal(stop) is not signal.SIG_IGN:
                signal.signal(stop, _stop)
        # Users type --pipeline (it is in every Kedro tutorial); it works, so it needs no warning.
        warnings.filterwarnings("ignore", message="Option '--pipeline' is deprecated")
        for handler in logging.getLogger().handlers:
            handler.addFilter(SaidOnceFilter())
        try:
            _check_project()
            _follow_schedule(options)
            _complete_node_names(options)
            _check_names(options)
            return callback(**options)
        except Exception as error:
            cause = user_error_in(error) or _disk_trouble_in(error)
            if cause is None:
                raise
            click.echo(click.style("Error: ", fg="red") + str(cause), err=True)
            raise SystemExit(1) from None

    return checked


DISK_TROUBLE = {
    errno.ENOSPC: "Make room on the disk and start again.",
    errno.EDQUOT: "Make room in your quota and start again.",
    errno.EROFS: "Mount the folder so that it can be written, and start again.",
    errno.EACCES: "Give yourself the right to write there, and start again.",
    errno.EPERM: "Give yourself the right to write there, and start again.",
}


def _disk_trouble_in(error: BaseException) -> UserError | None:
    """Return a message for a disk that is full or may not be written, if that is the cause."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, OSError) and current.errno in DISK_TROUBLE:
            what = os.strerror(current.errno)
            where = str(current.filename) if current.filename else None
            return UserError(what, where=where, remedy=DISK_TROUBLE[current.errno])
        current = current.__cause__ or current.__context__
    return None


def _check_project() -> None:
    """Refuse a folder whose name Kedro's search for configuration takes for a pattern."""
    here = str(Path.cwd())
    if any(sign in here for sign in "[]*"):
        raise UserError(
            "the path of the project holds one of the signs [ ] *, which Kedro takes for a pattern",
            where=here,
            remedy="Move the project to a folder without them.",
        )


def _follow_schedule(options: dict[str, Any]) -> None:
    """Run the pipelines of a catalogue that moves where the parameters ask for one."""
    from hsrl_pipeline.pipeline_registry import MOVING, MOVING_FORMS

    catalogue = (options.get("params") or {}).get("catalogue")
    if not isinstance(catalogue, dict) or catalogue.get("schedule") != "moving":
        return
    asked = [options["pipeline"]] if options.get("pipeline") else options.get("pipelines") or []
    named = [MOVING_FORMS.get(name, name) for name in asked if name != "__default__"]
    options["pipeline"] = None
    options["pipelines"] = list(dict.fromkeys(named)) or [MOVING]


def _complete_node_names(options: dict[str, Any]) -> None:
    """Give the nodes of --nodes, --from-nodes and --to-nodes their namespaces."""
    from hsrl_pipeline.pipeline_registry import full_node_name

    for option in ("node_names", "from_nodes", "to_nodes"):
        if options.get(option):
            options[option] = [full_node_name(name) for name in options[option]]


def _check_names(options: dict[str, Any]) -> None:
    """Refuse an environment, pipeline, node, tag or dataset that does not exist."""
    from kedro.framework.project import pipelines
    from kedro.utils import find_kedro_project

    project = find_kedro_project(Path.cwd())
    where = "--env" if options.get("env") else "KEDRO_ENV"
    env = options.get("env") or os.environ.get("KEDRO_ENV")
    conf = options.get("conf_source") or (project and project / "conf")
    if env and conf and Path(conf).is_dir():
        folders = {folder.name for folder in Path(conf).iterdir() if folder.is_dir()}
        known = sorted(folders - {"experiments"})
        _check_known("environment", [env], known, where)
    if options.get("pipeline") and options.get("pipelines"):
        raise UserError(
            "--pipeline and --pipelines are given at once",
            remedy="Name all pipelines after --pipelines, with commas between them.",
        )
    asked = [options["pipeline"]] if options.get("pipeline") else options.get("pipelines") or []
    _check_known("pipeline", asked, list(pipelines), "--pipeline")
    _check_runner(options.get("runner"))
    chosen = sum((pipelines[name] for name in asked or ["__default__"]), Pipeline([]))
    nodes = [node.name for node in chosen.nodes]
    tags = [tag for node in chosen.nodes for tag in node.tags]
    for option in ("node_names", "from_nodes", "to_nodes"):
        flag = "--nodes" if option == "node_names" else "--" + option.replace("_", "-")
        _check_known("node", options.get(option) or [], nodes, flag)
    spaces = [space for node in chosen.nodes for space in node.namespace_prefixes]
    _check_known("namespace", options.get("namespaces") or [], spaces, "--namespaces")
    _check_known("tag", options.get("tags") or [], tags, "--tags")
    for option in ("from_inputs", "to_outputs"):
        flag = "--" + option.replace("_", "-")
        _check_known("dataset", options.get(option) or [], list(chosen.datasets()), flag)


def _check_runner(name: str | None) -> None:
    """Refuse a runner that does not exist."""
    import kedro.runner

    known = [
        runner
        for runner in kedro.runner.__all__
        if runner.endswith("Runner") and runner != "AbstractRunner"
    ]
    if name and "." not in name:
        _check_known("runner", [name], known, "--runner")


def _check_known(kind: str, asked: Sequence[str], known: Sequence[str], where: str) -> None:
    """Refuse the first name that is not known, and name those that are or come close.

    A node may be named without its namespace in the suggestion's comparison, so both spellings
    of a typo find it.

    Raises:
        UserError: A name is not known.
    """
    names = sorted(set(known))
    unknown = [name for name in asked if name not in names]
    if not unknown:
        return
    lasts = {name.rpartition(".")[2]: name for name in names}
    close = difflib.get_close_matches(unknown[0], [*names, *lasts], n=3)
    meant = list(dict.fromkeys(lasts.get(name, name) for name in close))
    remedy = f"Did you mean {' or '.join(meant)}? " if meant else ""
    plural = f"{kind.capitalize()}s"
    remedy += f"{plural}: {', '.join(names)}." if names else f"There are no {plural.lower()} here."
    raise UserError(f"there is no {kind} '{unknown[0]}'", where=where, remedy=remedy)


run = copy.copy(kedro_run)
run.callback = _with_messages(kedro_run.callback)  # type: ignore[arg-type]
cli.add_command(run, name="run")


@cli.command()
@click.argument("name", required=False)
@click.option("--size", type=click.Choice(["quick", "full"]), default="quick", show_default=True)
@click.option("--env", help="Environment that takes the place of the grid's datasets.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Trials at a time; by default one per core."
)
@click.option("--cluster", help="Address of a Ray cluster to run on, or 'local'.")
def experiment(
    name: str | None, size: str, env: str | None, workers: int | None, cluster: str | None
) -> None:
    """Run the trials of conf/experiments/NAME.yml that have no result yet.

    Without a NAME it lists the grids.
    """
    _with_messages(_run_experiment)(
        name=name, size=size, dataset=env, workers=workers, cluster=cluster
    )


def _run_experiment(
    name: str | None, size: Any, dataset: str | None, workers: int | None, cluster: str | None
) -> None:
    from hsrl_pipeline.experiment_runs.grid_run import grid_names, run_grid
    from hsrl_pipeline.experiment_runs.step import run_step
    from hsrl_pipeline.experiments.pool import Pool, ProcessPool
    from hsrl_pipeline.experiments.ray_pool import RayPool

    project = Path.cwd()
    conf = project / "conf"
    if name is None:
        click.echo("Grids: " + ", ".join(grid_names(conf)))
        return
    make_pool: Callable[[], Pool] | None = None
    if cluster:
        make_pool = partial(RayPool, run_step, cluster)
    elif workers:
        make_pool = partial(ProcessPool, run_step, workers)
    done = run_grid(project, conf, name, size=size, dataset=dataset, make_pool=make_pool)
    click.echo(f"{done.finished} trials finished, {done.skipped} of them earlier.")
    click.echo("Report: make report")
    if done.failed:
        click.echo(
            f"{len(done.failed)} failed, as said above; the same command tries again.", err=True
        )
        raise SystemExit(1)


for command in SERVING_COMMANDS:
    command.callback = _with_messages(command.callback)  # type: ignore[arg-type]
    cli.add_command(command)
