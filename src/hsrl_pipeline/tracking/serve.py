"""Serve the project's runs: ``python -m hsrl_pipeline.tracking.serve`` (``make ui``)."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from hsrl_pipeline.tracking.store import mark_killed_runs, open_client, tracking_uri

logger = logging.getLogger(__name__)


def main() -> None:
    """Mark runs that were killed, then become MLflow's server on 127.0.0.1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5000, help="port on 127.0.0.1")
    port = parser.parse_args().port
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    project = Path.cwd()
    mark_killed_runs(open_client(project))
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


if __name__ == "__main__":
    main()
