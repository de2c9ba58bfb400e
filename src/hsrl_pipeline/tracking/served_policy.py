"""The model that MLflow keeps: this file is its code, a safetensors file its content."""

from __future__ import annotations

import json
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from pydantic import ValidationError

from hsrl_pipeline.checkpoint import read_checkpoint
from hsrl_pipeline.serving.catalogue_change import VersionConflict, follow
from hsrl_pipeline.serving.recommender import Recommender
from hsrl_pipeline.serving.request_errors import RequestError
from hsrl_pipeline.serving.requests import RecommendRequest
from hsrl_pipeline.serving.schemas import ChangeBody
from hsrl_pipeline.serving.served_model import ServedModel

ROWS_TOGETHER = 64
ANSWERS = ("items", "scores", "semantic_ids", "catalogue_version", "model")


class ServedPolicy(PythonModel):
    """Answers one request per row, in the user's own ids."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the model; no code in its file is executed."""
        served = ServedModel.from_checkpoint(read_checkpoint(context.artifacts["model"]))
        self._recommender = Recommender(served)
        self._changed: tuple[str, Recommender] = ("", self._recommender)

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return one answer per row.

        Args:
            context: Not read.
            model_input: Columns ``history``, ``responses``, ``user``, ``candidates``, ``exclude``
                and ``n``, as in the server's requests; each may be left out, or be null in a row.
            params: ``catalogue`` is JSON text of a change of the catalogue, as the server takes it:
                ``add``, ``release`` and ``new``. It holds for this call alone.

        Returns:
            Columns ``items``, ``scores``, ``semantic_ids``, ``catalogue_version``, ``model``.

        Raises:
            ValueError: A row can't be answered or the change can't be made; names the field.
        """
        recommender = self._under(str((params or {}).get("catalogue") or ""))
        columns = {str(name): list(model_input[name]) for name in model_input.columns}
        requests = [
            _request({name: values[row] for name, values in columns.items()})
            for row in range(len(model_input))
        ]
        answers: list[Any] = []
        for start in range(0, len(requests), ROWS_TOGETHER):
            answers += recommender.answer_all(requests[start : start + ROWS_TOGETHER])
        for row, answer in enumerate(answers):
            if isinstance(answer, RequestError):
                raise ValueError(f"row {row}, {answer.field}: {answer.what}")
        return pd.DataFrame(
            {name: [getattr(answer, name) for answer in answers] for name in ANSWERS},
            index=model_input.index,
        )

    def _under(self, change: str) -> Recommender:
        """Return what answers under a change; that of the last call is kept."""
        if not change:
            return self._recommender
        if self._changed[0] != change:
            try:
                given = json.loads(change)
                version = self._recommender.version
                body = ChangeBody.model_validate({"version_before": version, **given})
                following = follow(self._recommender, body.asked())
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(str(part) for part in first["loc"])
                raise ValueError(f"catalogue, {place}: {first['msg']}") from None
            except (RequestError, VersionConflict) as error:
                raise ValueError(f"catalogue, {error}") from None
            except (TypeError, ValueError) as error:
                raise ValueError(f"catalogue: it is no JSON object: {error}") from None
            self._changed = (change, following)
        return self._changed[1]


def _request(row: dict[str, Any]) -> RecommendRequest:
    """Return the request of a row, in which null stands for a field that was left out."""
    given = {name: value for name, value in row.items() if not _is_null(value)}
    user = {k: v for k, v in given.get("user", {}).items() if not _is_null(v)}
    fields: dict[str, Any] = {
        name: [str(value) for value in given[name]]
        for name in ("history", "candidates", "exclude")
        if name in given
    }
    if "responses" in given:
        fields["responses"] = [int(value) for value in given["responses"]]
    if "n" in given:
        fields["n"] = int(given["n"])
    return RecommendRequest(user=user, **fields)


def _is_null(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


mlflow.models.set_model(ServedPolicy())
