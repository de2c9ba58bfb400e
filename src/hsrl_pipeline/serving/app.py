"""The HTTP server: recommendations, the catalogue's changes, health and metrics."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from starlette.exceptions import HTTPException

from hsrl_pipeline.serving.batching import Batcher
from hsrl_pipeline.serving.event_log import EventLog, ServedSlate
from hsrl_pipeline.serving.http_layer import MOST_BYTES, AsciiJSON, ServingLayer, serving_of
from hsrl_pipeline.serving.live_service import LiveService, Swap, VersionConflict
from hsrl_pipeline.serving.metrics import ServerMetrics
from hsrl_pipeline.serving.recommender import Recommender
from hsrl_pipeline.serving.request_errors import RequestError
from hsrl_pipeline.serving.requests import RecommendRequest, own_id
from hsrl_pipeline.serving.schemas import (
    ADMIN_ERRORS,
    ERRORS,
    ChangeBody,
    ErrorBody,
    FeedbackBody,
    RecommendAnswer,
    RecommendBody,
)

logger = logging.getLogger(__name__)

TOKEN_VARIABLE = "HSRL_ADMIN_TOKEN"  # noqa: S105
"""Environment variable of the token without which administrative calls are off."""

SECONDS_BETWEEN_WRITES = 2.0
TYPES_TRIED = frozenset({"str", "constrained-str", "int", "float"})


def create_app(
    recommender: Recommender,
    *,
    token: str | None = None,
    events: EventLog | None = None,
    most_bytes: int = MOST_BYTES,
) -> FastAPI:
    """Return the server's application.

    Args:
        recommender: What answers first.
        token: Token of administrative calls; None or empty switches them off.
        events: Where served slates go; None keeps none.
        most_bytes: Largest body of a request.
    """
    metrics = ServerMetrics()
    batcher = Batcher(metrics.observe_batch)
    service = LiveService(
        recommender, lambda outcome: metrics.count("catalogue_swaps", outcome=outcome)
    )
    ready = asyncio.Event()

    async def warm_up() -> None:
        await asyncio.to_thread(recommender.warm_up)
        ready.set()

    async def write_events(log: EventLog) -> None:
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_WRITES)
            try:
                await asyncio.to_thread(log.write_due)
            except OSError as error:
                logger.error("The events of served slates can't be written: %s", error)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(warm_up())]
        if events is not None:
            tasks.append(asyncio.create_task(write_events(events)))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        batcher.close()
        if events is not None:
            await asyncio.to_thread(lambda: events.write_due(everything=True))

    app = FastAPI(
        title="hsrl_pipeline",
        summary="Recommendations of a trained policy, while the catalogue moves.",
        lifespan=lifespan,
        default_response_class=AsciiJSON,
    )
    app.add_middleware(ServingLayer, metrics=metrics, most_bytes=most_bytes)
    _add_error_answers(app)

    @app.post("/recommend", response_model=RecommendAnswer, responses=ERRORS)
    async def recommend(body: RecommendBody, request: Request) -> Response:
        """Recommend items: the best of the candidates, or of the whole live catalogue."""
        started = time.perf_counter()
        serving = serving_of(request.scope, service)
        recommender = serving.recommender
        read = recommender.read(
            RecommendRequest(body.history, body.user, body.candidates, body.exclude, body.n)
        )
        answer = await batcher.answer(recommender, read)
        request_id = uuid.uuid4().hex
        metrics.count("illegal_items", answer.illegal)
        metrics.count("unknown_history_ids", answer.unknown_history)
        if events is not None:
            events.served(
                ServedSlate(
                    request_id,
                    _kept_user(body.user_id) or request_id,
                    int(time.time() * 1000),
                    answer.items,
                    answer.log_probs,
                    answer.catalogue_version,
                    answer.model,
                )
            )
        metrics.observe_seconds(time.perf_counter() - started)
        return AsciiJSON(
            {
                "items": answer.items,
                "scores": answer.scores,
                "semantic_ids": answer.semantic_ids,
                "catalogue_version": answer.catalogue_version,
                "model": answer.model,
                "request_id": request_id,
            }
        )

    @app.post("/feedback", responses=ERRORS | {404: {"model": ErrorBody}})
    async def feedback(body: FeedbackBody) -> dict[str, bool]:
        """Say what was clicked of a slate; the first word on a slate counts."""
        if events is None:
            raise HTTPException(404, "no events are kept: start the server with --events FOLDER")
        clicks = {own_id(f"clicks.{place}", value) for place, value in enumerate(body.clicks)}
        shown = events.items_of(body.request_id)
        known = shown is not None
        if shown is not None:
            strange = sorted(clicks - set(shown))
            if strange:
                raise RequestError("clicks", f"item {strange[0][:100]!r} was not shown")
            known = events.clicked(body.request_id, clicks)
        metrics.count("feedback", known=str(known).lower())
        if not known:
            raise HTTPException(404, "no slate of this request_id waits for feedback")
        return {"kept": True}

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Say that the process runs."""
        return {"status": "ok"}

    @app.get("/ready", responses={503: {"model": ErrorBody}})
    async def is_ready() -> dict[str, str]:
        """Say whether the first answers are behind it."""
        if not ready.is_set():
            raise HTTPException(503, "the server is warming up")
        return {"status": "ready", "catalogue_version": service.now.recommender.version}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def all_metrics() -> str:
        """Return counters in Prometheus' text format."""
        now = service.now.recommender
        return metrics.text(
            version=now.version, model=now.model.name, n_live=len(now.catalogue.live_items)
        )

    _add_catalogue_calls(app, service, token)
    return app


def _add_catalogue_calls(app: FastAPI, service: LiveService, token: str | None) -> None:
    async def admitted(authorization: Annotated[str | None, Header()] = None) -> None:
        if not token:
            raise HTTPException(
                403, f"administrative calls are off: start the server with {TOKEN_VARIABLE} set"
            )
        given = (authorization or "").removeprefix("Bearer ").encode()
        if not hmac.compare_digest(given, token.encode()):
            raise HTTPException(401, "give the token as the header Authorization: Bearer TOKEN")

    @app.get("/catalogue")
    async def catalogue() -> dict[str, Any]:
        """Return the version that answers and the last changes, newest first."""
        return service.overview()

    @app.post("/catalogue", responses=ADMIN_ERRORS, dependencies=[Depends(admitted)])
    async def change(body: ChangeBody) -> dict[str, Any]:
        """Add and release items; when it answers, no released item is shown any more."""
        return _told(await service.change(body.version_before, body.add, body.release), service)

    @app.post("/catalogue/rollback", responses=ADMIN_ERRORS, dependencies=[Depends(admitted)])
    async def rollback() -> dict[str, Any]:
        """Go back to the version before the last change."""
        return _told(await service.roll_back(), service)


def _told(swap: Swap, service: LiveService) -> dict[str, Any]:
    return {
        "catalogue_version": swap.version,
        "version_before": swap.version_before,
        "live_items": len(service.now.recommender.catalogue.live_items),
        "seconds": swap.seconds,
    }


def _kept_user(user_id: str | None) -> str | None:
    """Return a user's id as events hold it.

    Raises:
        RequestError: It can't be written as UTF-8.
    """
    if user_id is None:
        return None
    try:
        user_id.encode()
    except UnicodeEncodeError:
        raise RequestError("user_id", "this is no text that can be kept") from None
    return user_id.strip()


def _add_error_answers(app: FastAPI) -> None:
    """Answer every fault of a request in one form, with the field named."""

    def refusal(status: int, field: str, error: str) -> Response:
        return AsciiJSON({"field": field, "error": error}, status)

    @app.exception_handler(RequestError)
    async def wrong_field(_: Request, error: RequestError) -> Response:
        return refusal(422, error.field, error.what)

    @app.exception_handler(VersionConflict)
    async def other_version(_: Request, error: VersionConflict) -> Response:
        return refusal(409, "version_before", str(error))

    @app.exception_handler(RequestValidationError)
    async def wrong_type(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return refusal(400, "body", f"it is no JSON: {first['ctx']['error']}")
        place = [str(part) for part in first["loc"]]
        # a part may name the type that a union tried
        field = ".".join(part for part in place[1:] if part not in TYPES_TRIED)
        return refusal(422, field or place[0], str(first["msg"]))

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> Response:
        field = {401: "authorization", 400: "body"}.get(error.status_code, "")
        return refusal(error.status_code, field, str(error.detail))
