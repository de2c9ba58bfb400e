"""Finished policies in MLflow's registry: challengers, and the champion that one becomes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsrl_pipeline.checkpoint import read_checkpoint, write_checkpoint
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.tracking.model_signature import model_signature
from hsrl_pipeline.tracking.store import (
    EXPERIMENT_PREFIX,
    ensure_experiment,
    open_client,
    store_trouble,
    tracking_uri,
)

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

    from hsrl_pipeline.serving.served_model import ServedModel

CHALLENGER, CHAMPION = "challenger", "champion"
MODEL_FILE, SESSIONS_FILE = "model.safetensors", "sessions.parquet"
REQUIREMENTS = ("mlflow", "numpy", "pandas", "pyarrow", "pydantic", "safetensors", "torch")
RESAMPLES = 2000


@dataclass(frozen=True)
class Registered:
    """A version of a registered model.

    Attributes:
        name: Name of the registered model.
        version: Number of the version.
    """

    name: str
    version: str

    @property
    def uri(self) -> str:
        """Address that ``mlflow.pyfunc.load_model`` and ``make serve`` take."""
        return f"models:/{self.name}/{self.version}"


def register(
    project: Path,
    model: ServedModel,
    sessions: pd.DataFrame,
    *,
    dataset: str,
    tags: Mapping[str, str],
) -> Registered:
    """Enter a finished policy into the registry, as the challenger.

    Args:
        project: The project's root.
        model: What is served.
        sessions: The policy's judged sessions, which champions are compared by; may be empty.
        dataset: Dataset of the policy.
        tags: Tags of the version: agent, seed, regime and the like.

    Raises:
        UserError: The store can't be used.
    """
    import mlflow

    regime = tags.get("regime", "repeats")
    name = f"hsrl-{dataset}" + ("" if regime == "repeats" else f"-{regime}")
    client = _registry_client(project)
    experiment = ensure_experiment(client, project, f"{EXPERIMENT_PREFIX}{dataset}")
    signature, example = model_signature(model)
    with in_store(project), store_trouble(project), tempfile.TemporaryDirectory() as folder:
        file, judged = Path(folder) / MODEL_FILE, Path(folder) / SESSIONS_FILE
        write_checkpoint(file, model.to_checkpoint())
        sessions.to_parquet(judged)
        mlflow.set_experiment(experiment_id=experiment)
        logged = mlflow.pyfunc.log_model(
            name="recommender",
            python_model=str(Path(__file__).with_name("served_policy.py")),
            artifacts={"model": str(file), "sessions": str(judged)},
            signature=signature,
            input_example=example,
            pip_requirements=[f"{package}=={installed(package)}" for package in REQUIREMENTS],
            registered_model_name=name,
        )
        made = Registered(name, str(logged.registered_model_version))
        for tag, value in tags.items():
            client.set_model_version_tag(name, made.version, tag, value)
        client.set_registered_model_alias(name, CHALLENGER, made.version)
    return made


def promote(project: Path, name: str, version: str | None = None, *, force: bool = False) -> str:
    """Make a version the champion, if it is clearly better than the one before.

    Better is more total reward in the same judged sessions: the 95 % interval of the paired
    difference lies above 0.

    Args:
        project: The project's root.
        name: Name of the registered model.
        version: Number of the version; None for the challenger.
        force: Do not compare.

    Returns:
        What was found and done, in one sentence.

    Raises:
        UserError: There is no such version, or it is not clearly better.
    """
    client = _registry_client(project)
    with in_store(project):
        wanted = _version_of(client, name, version or CHALLENGER)
        champion = _version_of(client, name, CHAMPION, missing_ok=True)
        told = f"version {wanted.version} of {name} is the champion now"
        if champion is not None and champion.version == wanted.version:
            return f"version {wanted.version} of {name} is the champion already"
        if champion is None:
            told += "; there was none before"
        elif force:
            told += f" in place of version {champion.version}, without a comparison"
        else:
            told += f": {_refuse_unclear(name, wanted, champion)}"
        with store_trouble(project):
            client.set_registered_model_alias(name, CHAMPION, wanted.version)
    return told


def load_served_model(project: Path, uri: str) -> ServedModel:
    """Return a registered model, to serve it.

    Args:
        project: The project's root.
        uri: Such as ``models:/hsrl-ml1m@champion``.

    Raises:
        UserError: There is none at this address.
    """
    from hsrl_pipeline.serving.served_model import ServedModel

    open_client(project)
    with in_store(project):
        file = _file_of(uri, "model")
        found = ServedModel.from_checkpoint(read_checkpoint(file))
    return found.named(f"{found.name} ({uri})")


def _refuse_unclear(name: str, wanted: ModelVersion, champion: ModelVersion) -> str:
    """Return the difference in words.

    Raises:
        UserError: It is not clearly above 0, or the two can't be compared.
    """
    import pandas as pd

    from hsrl_pipeline.evaluation.comparison import paired_differences

    parts = {}
    for alias, version in (("wanted", wanted), (CHAMPION, champion)):
        uri = f"models:/{name}/{version.version}"
        parts[alias] = pd.read_parquet(_file_of(uri, "sessions")).assign(policy=alias)
    remedy = "Judge both on the same sessions and register them again, or add --force."
    where = f"{name}, versions {wanted.version} and {champion.version}"
    found = None
    if all(len(part) for part in parts.values()):
        found = paired_differences(pd.concat(parts.values()), CHAMPION, RESAMPLES, 0)
    if found is None or found.empty:
        raise UserError("The two were not judged in the same sessions", where=where, remedy=remedy)
    row = found.iloc[0]
    low, high = row["total_reward_difference_ci_low"], row["total_reward_difference_ci_high"]
    told = (
        f"{row['total_reward_difference']:+.3f} total reward against version {champion.version}, "
        f"95 % interval [{low:+.3f}, {high:+.3f}] over {row['n_episodes']} sessions"
    )
    if low <= 0.0:
        raise UserError(
            f"Version {wanted.version} is not clearly better: {told}",
            where=where,
            remedy="Train longer or judge more sessions (evaluation.n_episodes), or add --force.",
        )
    return told


def _version_of(client: MlflowClient, name: str, version: str, *, missing_ok: bool = False) -> Any:
    """Return a version by number or alias; None where it may be missing and is."""
    from mlflow.exceptions import MlflowException

    try:
        if version.isdigit():
            return client.get_model_version(name, version)
        return client.get_model_version_by_alias(name, version)
    except MlflowException as error:
        if missing_ok:
            return None
        known = ", ".join(model.name for model in client.search_registered_models()) or "none"
        raise UserError(
            f"There is no version {version} of a model {name!r}",
            where="the registry of models",
            remedy=f"Registered models: {known}. `kedro register` enters one.",
        ) from error


def _file_of(uri: str, artifact: str) -> Path:
    """Return the local path of a file that was logged with a model."""
    import mlflow
    from mlflow.exceptions import MlflowException

    names = {"model": MODEL_FILE, "sessions": SESSIONS_FILE}
    try:
        folder = mlflow.artifacts.download_artifacts(artifact_uri=uri)
    except (MlflowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(
            f"{uri} can't be read: {reason}",
            where="--model",
            remedy="`kedro register` enters a model and tells its name. Name it by "
            "MODEL=models:/NAME@champion or MODEL=models:/NAME/VERSION.",
        ) from error
    return Path(folder) / "artifacts" / names[artifact]


@contextmanager
def in_store(project: Path) -> Iterator[None]:
    """Point MLflow's functions without a client to the project's store, as long as it takes.

    Args:
        project: The project's root.
    """
    import mlflow

    # MLflow writes its own variables when it is pointed somewhere, and the store is named by them
    variables = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    named = {name: os.environ[name] for name in variables if name in os.environ}
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    store, registry = tracking_uri(project), _registry_uri(project)
    mlflow.set_tracking_uri(store)
    mlflow.set_registry_uri(registry)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
        for name in variables:
            os.environ.pop(name, None)
        os.environ.update(named)


def _registry_uri(project: Path) -> str:
    """Return the URI of the registry: the store of runs, unless MLflow's variable names another."""
    return os.environ.get("MLFLOW_REGISTRY_URI") or tracking_uri(project)


def _registry_client(project: Path) -> MlflowClient:
    """Return a client of store and registry.

    Raises:
        UserError: The store does not answer.
    """
    from mlflow.tracking import MlflowClient

    open_client(project)
    return MlflowClient(tracking_uri(project), registry_uri=_registry_uri(project))
