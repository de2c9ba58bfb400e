"""What a run may say to its store, and how each kind of entry is sent."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

logger = logging.getLogger(__name__)

REFUSALS = {
    "INVALID_PARAMETER_VALUE",
    "INVALID_STATE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "ENDPOINT_NOT_FOUND",
}
"""Answers of a store that is there: trying again would bring the same one."""


def deliver(client: MlflowClient, run_id: str, entry: dict[str, Any]) -> bool:
    """Send one entry.

    Args:
        client: Client of the store.
        run_id: The run it belongs to.
        entry: What ``Outbox.put`` took.

    Returns:
        False if the store is away. A refusal is logged and counts as delivered.
    """
    from mlflow.exceptions import MlflowException

    try:
        _send(client, run_id, entry)
    except MlflowException as error:
        if error.error_code not in REFUSALS:
            return False
        logger.warning("The store of runs refuses %s: %s", entry["kind"], error)
    except Exception as error:
        # whatever a client library raises, a training must not end by it
        logger.debug("not sent: %s", error)
        return False
    return True


def _send(client: MlflowClient, run_id: str, entry: dict[str, Any]) -> None:
    from mlflow.entities import Metric, Param

    match entry["kind"]:
        case "metrics":
            client.log_batch(run_id, metrics=[Metric(*values) for values in entry["values"]])
        case "params":
            client.log_batch(run_id, params=[Param(*values) for values in entry["values"]])
        case "tag":
            client.set_tag(run_id, entry["name"], entry["value"])
        case "dataset":
            _send_dataset(client, run_id, entry)
        case "model":
            _send_model(client, run_id, entry)
        case "artifact" if Path(entry["path"]).is_dir():
            client.log_artifacts(run_id, entry["path"], Path(entry["path"]).name)
        case "artifact":
            client.log_artifact(run_id, entry["path"])
        case "end":
            client.set_terminated(run_id, status=entry["status"], end_time=entry["time"])


def _send_dataset(client: MlflowClient, run_id: str, entry: Mapping[str, Any]) -> None:
    """Name the data a run has read; nothing of the data itself is sent."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    columns = [
        {"name": name, "type": kind, "required": True} for name, kind in entry["columns"].items()
    ]
    dataset = Dataset(
        name=entry["name"],
        digest=entry["version"],
        source_type="local",
        source=json.dumps({"uri": entry["place"]}),
        schema=json.dumps({"mlflow_colspec": columns}) if columns else None,
        profile=json.dumps(entry["sizes"]),
    )
    tags = [InputTag(MLFLOW_DATASET_CONTEXT, entry["context"])]
    client.log_inputs(run_id, [DatasetInput(dataset, tags)])


def _send_model(client: MlflowClient, run_id: str, entry: Mapping[str, Any]) -> None:
    """Make the model that a run has trained an entry of its own, with its file.

    An entry that an earlier try has left unfinished is finished, so that a store that went away in
    between holds the model once.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    experiment = client.get_run(run_id).info.experiment_id
    found = client.search_logged_models(
        [experiment], filter_string=f"source_run_id = '{run_id}' AND name = '{entry['name']}'"
    )
    model = next(iter(found), None) or client.create_logged_model(
        experiment,
        name=entry["name"],
        source_run_id=run_id,
        tags=entry["tags"],
        model_type=entry["type"],
    )
    if model.status == LoggedModelStatus.READY:
        return
    path = Path(entry["path"])
    client.log_model_artifact(model.model_id, str(path))
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
