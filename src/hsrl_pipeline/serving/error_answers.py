"""Every fault of a request is answered in one form, with the field named."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hsrl_pipeline.serving.catalogue_change import VersionConflict
from hsrl_pipeline.serving.change_follower import ReplicaLost
from hsrl_pipeline.serving.http_layer import AsciiJSON
from hsrl_pipeline.serving.request_errors import RequestError

TYPES_TRIED = frozenset({"str", "constrained-str", "int", "float"})
FIELD_OF_STATUS = {400: "body", 401: "authorization"}


def add_error_answers(app: FastAPI) -> None:
    """Answer faults of requests with ``{"field": ..., "error": ...}``.

    Args:
        app: The application.
    """

    @app.exception_handler(RequestError)
    async def wrong_field(_: Request, error: RequestError) -> Response:
        return _refusal(422, error.field, error.what)

    @app.exception_handler(VersionConflict)
    async def other_version(_: Request, error: VersionConflict) -> Response:
        return _refusal(409, "version_before", str(error))

    @app.exception_handler(ReplicaLost)
    async def lost(_: Request, error: ReplicaLost) -> Response:
        return _refusal(503, "", str(error))

    @app.exception_handler(RequestValidationError)
    async def wrong_type(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return _refusal(400, "body", f"it is no JSON: {first['ctx']['error']}")
        place = [str(part) for part in first["loc"]]
        # a part may name the type that a union tried
        field = ".".join(part for part in place[1:] if part not in TYPES_TRIED)
        return _refusal(422, field or place[0], str(first["msg"]))

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> Response:
        field = FIELD_OF_STATUS.get(error.status_code, "")
        return _refusal(error.status_code, field, str(error.detail), error.headers)


def _refusal(
    status: int, field: str, error: str, headers: Mapping[str, str] | None = None
) -> Response:
    return AsciiJSON({"field": field, "error": error}, status, headers)
