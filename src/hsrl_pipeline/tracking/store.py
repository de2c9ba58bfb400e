"""Where runs are kept: the project's own SQLite store and artifact folder, or a named store."""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hsrl_pipeline.errors import UserError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

logger = logging.getLogger(__name__)

EXPERIMENT_PREFIX = "hsrl/"
SHOWN_AS = "mlflow.experimentKind"
"""Tag by which MLflow's pages show runs and metrics, and not traces of language models."""

SECONDS_TO_ANSWER = 5
"""How long a store may take to answer before it counts as away."""

SECONDS_FOR_FIRST_USE = 60
"""How long another run may take to create the store."""

REMEDY = (
    "Make the store reachable and start again, or name another one with MLFLOW_TRACKING_URI, "
    "for example MLFLOW_TRACKING_URI=sqlite:////tmp/runs.db."
)


def tracking_uri(project: Path) -> str:
    """Return the URI of the store; absolute, so every folder sees the same runs.

    Args:
        project: The project's root.
    """
    named = os.environ.get("MLFLOW_TRACKING_URI")
    return named or _sqlite_uri(project.resolve() / "mlflow.db")


def _sqlite_uri(database: Path) -> str:
    """Return the URI of a file, signs like % and ? quoted."""
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=str(database)).render_as_string()


def shown_uri(project: Path) -> str:
    """Return the store's URI without a password, for messages.

    Args:
        project: The project's root.
    """
    uri = tracking_uri(project)
    credentials, at, rest = uri.rpartition("@")
    return f"{credentials.split('://')[0]}://...@{rest}" if at and "://" in credentials else uri


def open_client(project: Path) -> MlflowClient:
    """Return a client on the project's store.

    Args:
        project: The project's root.

    Raises:
        UserError: The store does not answer within seconds, or can't be read or written.
    """
    # MLflow's own patience is minutes; both can be set by the user.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(SECONDS_TO_ANSWER))
    from mlflow.tracking import MlflowClient

    # MLflow prints a traceback of each failure before it raises it.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    # and urllib3 warns of each retry, where one message by the run is enough
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    with store_trouble(project):
        with _first_use(project):
            _make_database(_database(project))
            _probe(project)
            client = MlflowClient(tracking_uri=tracking_uri(project))
            client.search_experiments(max_results=1)
            _follow_the_project(project)
    return client


def ensure_experiment(client: MlflowClient, project: Path, name: str) -> str:
    """Return the id of the named experiment, created on first use.

    Artifacts of an SQLite store go to ``mlartifacts`` beside it; every other store says itself
    where they go.

    Args:
        client: Client of the store.
        project: The project's root.
        name: Experiment name, for example ``"hsrl/ml1m"``.

    Raises:
        UserError: The store does not answer within seconds, or can't be read or written.
    """
    from mlflow.exceptions import MlflowException

    with store_trouble(project), _first_use(project):
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            database = _database(project)
            folder = (database.parent / "mlartifacts" / name).as_uri() if database else None
            tags = {SHOWN_AS: "custom_model_development"}
            try:
                return str(client.create_experiment(name, artifact_location=folder, tags=tags))
            except MlflowException as error:
                # on a server another machine may have been faster
                experiment = client.get_experiment_by_name(name)
                if error.error_code != "RESOURCE_ALREADY_EXISTS" or experiment is None:
                    raise
        if experiment.lifecycle_stage == "deleted":
            logger.warning("The experiment %s was deleted; this run restores it", name)
            client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)


@contextmanager
def store_trouble(project: Path) -> Iterator[None]:
    """Turn a store that is away, locked, full or read-only into one message.

    Args:
        project: The project's root.

    Raises:
        UserError: The body failed for such a reason.
    """
    from filelock import Timeout
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError, Timeout) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = "it does not answer" if _is_unreachable(error) else lines[0].rstrip(".")
        raise UserError(
            f"the store of runs can't be used: {reason}",
            where=shown_uri(project),
            remedy=REMEDY,
        ) from error


def _is_unreachable(error: BaseException) -> bool:
    """Return whether a failed request to a server caused an error."""
    from requests.exceptions import RequestException

    current: BaseException | None = error
    while current is not None and not isinstance(current, RequestException):
        current = current.__cause__ or current.__context__
    return current is not None


def _database(project: Path) -> Path | None:
    """Return the file of an SQLite store, or None for another kind of store."""
    from sqlalchemy.engine import make_url

    uri = tracking_uri(project)
    database = make_url(uri).database if uri.startswith("sqlite") else None
    return Path(database).resolve() if database and database != ":memory:" else None


def _make_database(database: Path | None) -> None:
    """Create an SQLite store in one step.

    MLflow can't go on with a store that was torn while it made the tables, by a kill for example.

    Args:
        database: Its file; None for another kind of store.
    """
    from mlflow.tracking import MlflowClient

    if database is None or (database.exists() and database.stat().st_size > 0):
        return
    unfinished = database.with_name(f"{database.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch()
    MlflowClient(tracking_uri=_sqlite_uri(unfinished)).search_experiments(max_results=1)
    os.replace(unfinished, database)


def _probe(project: Path) -> None:
    """Fail at once where MLflow would retry for minutes.

    Raises:
        OSError: The host of the database can't be reached.
        sqlite3.Error: The database is locked, can't be written or is none.
    """
    database = _database(project)
    if database is not None:
        connection = sqlite3.connect(database, timeout=SECONDS_TO_ANSWER, isolation_level=None)
        try:
            connection.execute("begin immediate")
            connection.execute("rollback")
        finally:
            connection.close()
        return
    parts = urlsplit(tracking_uri(project))
    ports = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
    port = parts.port or ports.get(parts.scheme.split("+")[0])
    if port and parts.hostname and not parts.scheme.startswith("http"):
        socket.create_connection((parts.hostname, port), timeout=SECONDS_TO_ANSWER).close()


@contextmanager
def _first_use(project: Path) -> Iterator[None]:
    """Keep two first runs from creating the same tables or experiment of an SQLite store."""
    from filelock import FileLock

    database = _database(project)
    if database is None:
        yield
        return
    with FileLock(f"{database}.lock", timeout=SECONDS_FOR_FIRST_USE):
        yield


def _follow_the_project(project: Path) -> None:
    """Let the own store name the artifact folder of this place, after a project was moved.

    MLflow keeps absolute addresses. Without this the runs of a copy would write into the project
    that it was copied from. Earlier runs follow if their artifacts were copied too.
    """
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return
    here = project.resolve()
    with sqlite3.connect(here / "mlflow.db", timeout=SECONDS_TO_ANSWER) as connection:
        experiments = connection.execute(
            "select experiment_id, name, artifact_location from experiments"
            " where substr(name, 1, ?) = ?",
            (len(EXPERIMENT_PREFIX), EXPERIMENT_PREFIX),
        ).fetchall()
        for identity, name, location in experiments:
            folder = here / "mlartifacts" / name
            # a location that someone chose with care, in a bucket for example, stays
            if location == folder.as_uri() or not location.startswith("file:"):
                continue
            connection.execute(
                "update experiments set artifact_location = ? where experiment_id = ?",
                (folder.as_uri(), identity),
            )
            runs = connection.execute(
                "select run_uuid from runs where experiment_id = ?", (identity,)
            ).fetchall()
            for (run,) in runs:
                if (folder / run).is_dir():
                    connection.execute(
                        "update runs set artifact_uri = ? where run_uuid = ?",
                        (f"{folder.as_uri()}/{run}/artifacts", run),
                    )
    connection.close()
