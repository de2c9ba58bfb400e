"""The project's ``kedro run``: what a user can put right is one message, not a traceback."""

from __future__ import annotations

import copy
import logging
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run

from hsrl_pipeline.errors import SaidOnceFilter, UserError, user_error_in


@click.group(name="hsrl_pipeline")
def cli() -> None:
    """Commands of this project."""


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """End like an interrupt does, so that the run is marked as killed."""
    raise SystemExit(143)


def _with_messages(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command callback that turns user errors into one message and exit code 1."""

    def run(**options: Any) -> Any:
        signal.signal(signal.SIGTERM, _stop)
        # Users type --pipeline (it is in every Kedro tutorial); it works, so it needs no warning.
        warnings.filterwarnings("ignore", message="Option '--pipeline' is deprecated")
        for handler in logging.getLogger().handlers:
            handler.addFilter(SaidOnceFilter())
        try:
            _complete_node_names(options)
            _check_names(options)
            return callback(**options)
        except Exception as error:
            cause = user_error_in(error)
            if cause is None:
                raise
            click.echo(click.style("Error: ", fg="red") + str(cause), err=True)
            raise SystemExit(1) from None

    return run


def _complete_node_names(options: dict[str, Any]) -> None:
    """Give the nodes of --nodes, --from-nodes and --to-nodes their namespaces."""
    from hsrl_pipeline.pipeline_registry import full_node_name

    for option in ("node_names", "from_nodes", "to_nodes"):
        if options.get(option):
            options[option] = [full_node_name(name) for name in options[option]]


def _check_names(options: dict[str, Any]) -> None:
    """Refuse an environment or pipeline that does not exist and name those that do."""
    from kedro.framework.project import pipelines
    from kedro.utils import find_kedro_project

    project = find_kedro_project(Path.cwd())
    env = options.get("env")
    if env and project is not None and not options.get("conf_source"):
        known = sorted(folder.name for folder in (project / "conf").iterdir() if folder.is_dir())
        if env not in known:
            raise UserError(
                f"there is no environment '{env}'",
                where="--env",
                remedy=f"Environments: {', '.join(known)}.",
            )
    asked = [options["pipeline"]] if options.get("pipeline") else options.get("pipelines") or []
    for name in asked:
        if name not in pipelines:
            raise UserError(
                f"there is no pipeline '{name}'",
                where="--pipeline",
                remedy=f"Pipelines: {', '.join(sorted(pipelines))}.",
            )


_run = copy.copy(kedro_run)
_run.callback = _with_messages(kedro_run.callback)  # type: ignore[arg-type]
cli.add_command(_run, name="run")
