"""Serve the project's runs: ``python -m hsrl_pipeline.tracking.serve`` (``make ui``)."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from pathlib import Path

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.tracking.outbox import send_kept_runs
from hsrl_pipeline.tracking.processes import mark_killed_runs
from hsrl_pipeline.tracking.store import open_client, shown_uri, tracking_uri

logger = logging.getLogger(__name__)


def main() -> None:
    """Mark runs that were killed, then become MLflow's server on 127.0.0.1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5000, help="port on 127.0.0.1")
    port = parser.parse_args().port
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    project = Path.cwd()
    try:
        _check(project, port)
        client = open_client(project)
    except UserError as error:
        logger.error("%s", error)
        raise SystemExit(1) from None
    mark_killed_runs(client)
    send_kept_runs(client, project)
    # without the workflow type MLflow opens its pages for language models, which show no runs
    logger.info(
        "MLflow: http://127.0.0.1:%d/#/experiments?workflowType=machine_learning (Ctrl+C ends it)",
        port,
    )
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    arguments = ["server", "--backend-store-uri", tracking_uri(project), "--host", "127.0.0.1"]
    artifacts = (project / "mlartifacts").resolve().as_uri()
    arguments += ["--port", str(port), "--workers", "1", "--default-artifact-root", artifacts]
    os.execve(sys.executable, [sys.executable, "-m", "mlflow", *arguments], environment)


def _check(project: Path, port: int) -> None:
    """Refuse a port that is taken, and a store that has a server of its own.

    Raises:
        UserError: One of these.
    """
    if tracking_uri(project).startswith("http"):
        raise UserError(
            "the runs are on a server, which shows them itself",
            where="MLFLOW_TRACKING_URI",
            remedy=f"Open {shown_uri(project)} in a browser.",
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise UserError(
                f"port {port} can't be used: {error}",
                where="--port",
                remedy=f"Name another one: make ui PORT={port + 1}",
            ) from error


if __name__ == "__main__":
    main()
