"""The HTTP server's application."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response
from starlette.exceptions import HTTPException

from hsrl_pipeline.serving.batching import Batcher
from hsrl_pipeline.serving.catalogue_calls import add_catalogue_calls
from hsrl_pipeline.serving.change_follower import ChangeFollower
from hsrl_pipeline.serving.click_intake import ClickIntake
from hsrl_pipeline.serving.clicked_slates import ShownSlate, follows_clicks
from hsrl_pipeline.serving.error_answers import add_error_answers
from hsrl_pipeline.serving.event_log import EventLog, ServedSlate
from hsrl_pipeline.serving.http_layer import MOST_BYTES, AsciiJSON, ServingLayer, serving_of
from hsrl_pipeline.serving.live_service import LiveService
from hsrl_pipeline.serving.metrics import ServerMetrics
from hsrl_pipeline.serving.openapi_page import add_openapi_page
from hsrl_pipeline.serving.own_ids import kept_text, own_id
from hsrl_pipeline.serving.recommender import Recommendation, Recommender
from hsrl_pipeline.serving.request_errors import RequestError
from hsrl_pipeline.serving.requests import RecommendRequest
from hsrl_pipeline.serving.schemas import (
    ERRORS,
    ErrorBody,
    FeedbackBody,
    RecommendAnswer,
    RecommendBody,
)

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_WRITES = 2.0


@dataclass
class _Parts:
    """What the calls of one application share."""

    metrics: ServerMetrics
    batcher: Batcher
    service: LiveService
    events: EventLog | None
    intake: ClickIntake | None
    follower: ChangeFollower | None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    why_not_ready: str = "the server is warming up"

    async def warm_up(self) -> None:
        try:
            await asyncio.to_thread(self.service.now.recommender.warm_up)
        except Exception as error:
            logger.exception("The warm-up failed; /ready will say so until the server is restarted")
            self.why_not_ready = (
                f"the warm-up failed: {type(error).__name__}: {error}; the log of the server has "
                "the place; start it again with a model that can answer"
            )
            raise
        self.ready.set()

    def waiting(self) -> list[EventLog | ClickIntake]:
        """Return all that keeps served slates until their feedback comes."""
        return [part for part in (self.events, self.intake) if part is not None]

    async def write_events(self, events: EventLog) -> None:
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_WRITES)
            try:
                await asyncio.to_thread(events.write_due)
            except OSError as error:
                logger.error("The events of served slates can't be written: %s", error)

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.warm_up())]
        if self.follower is not None:
            await tasks[0]  # requests come to a replica as soon as it has started
            await self.follower.start(self.service)
        if self.events is not None:
            tasks.append(asyncio.create_task(self.write_events(self.events)))
        yield
        if self.follower is not None:
            await self.follower.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.intake is not None:
            await self.intake.stop()
        self.batcher.close()
        if self.events is not None:
            self.events.write_due(everything=True)


def create_app(
    recommender: Recommender,
    *,
    token: str | None = None,
    events: EventLog | None = None,
    most_bytes: int = MOST_BYTES,
    follower: ChangeFollower | None = None,
) -> FastAPI:
    """Return the server's application.

    Args:
        recommender: What answers first.
        token: Token of administrative calls; None or empty switches them off.
        events: Where served slates go; None keeps none.
        most_bytes: Largest body of a request.
        follower: Where this is one of several replicas, its part in changes of the catalogue.
    """
    metrics = ServerMetrics()
    service = LiveService(
        recommender, lambda outcome: metrics.count("catalogue_swaps", outcome=outcome)
    )
    batcher = Batcher(metrics.observe_batch)
    intake = None
    if follows_clicks(recommender):
        intake = ClickIntake(
            service,
            batcher,
            lambda outcome, amount: metrics.count("followed_slates", amount, outcome=outcome),
        )
    parts = _Parts(metrics, batcher, service, events, intake, follower)
    app = FastAPI(
        title="hsrl_pipeline",
        summary="Recommendations of a trained policy, while the catalogue moves.",
        lifespan=parts.lifespan,
        default_response_class=AsciiJSON,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(ServingLayer, metrics=metrics, most_bytes=most_bytes)
    add_error_answers(app)
    _add_recommend(app, parts)
    _add_feedback(app, parts)
    _add_status(app, parts)
    add_catalogue_calls(app, service, token, follower)
    add_openapi_page(app)
    return app


def _add_recommend(app: FastAPI, parts: _Parts) -> None:
    @app.post("/recommend", response_model=RecommendAnswer, responses=ERRORS)
    async def recommend(body: RecommendBody, request: Request) -> Response:
        """Recommend items: the best of the candidates, or of the whole live catalogue."""
        started = time.perf_counter()
        user_id = body.user_id and kept_text("user_id", body.user_id).strip()
        if parts.follower is not None:
            parts.follower.refuse_lost()
        recommender = serving_of(request.scope, parts.service).recommender
        read = recommender.read(
            RecommendRequest(
                body.history, body.user, body.candidates, body.exclude, body.n, body.responses
            )
        )
        answer = await parts.batcher.answer(recommender, read)
        request_id = uuid.uuid4().hex
        parts.metrics.count("illegal_items", answer.illegal)
        parts.metrics.count("unknown_history_ids", answer.unknown_history)
        if parts.events is not None:
            parts.events.served(_slate(answer, request_id, user_id))
        if parts.intake is not None:
            parts.intake.served(request_id, ShownSlate.of(recommender, read, answer.items))
        parts.metrics.observe_seconds(time.perf_counter() - started)
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


def _add_feedback(app: FastAPI, parts: _Parts) -> None:
    @app.post("/feedback", responses=ERRORS | {404: {"model": ErrorBody}})
    async def feedback(body: FeedbackBody) -> dict[str, bool]:
        """Say what was clicked of a slate; the first word on a slate counts."""
        waiting = parts.waiting()
        if not waiting:
            raise HTTPException(
                404,
                "no events are kept and the policy does not follow clicks: start the server with "
                "--events FOLDER, or with a policy trained with agents.hsrl.arrival_prior",
            )
        found = (part.items_of(body.request_id) for part in waiting)
        shown = next((items for items in found if items is not None), None)
        parts.metrics.count("feedback", known=str(shown is not None).lower())
        if shown is None:
            raise HTTPException(404, "no slate of this request_id waits for feedback")
        clicks = {own_id(f"clicks.{place}", value) for place, value in enumerate(body.clicks)}
        strange = sorted(clicks - set(shown))
        if strange:
            raise RequestError("clicks", f"item {strange[0][:100]!r} was not shown")
        return {"kept": any([part.clicked(body.request_id, clicks) for part in waiting])}


def _add_status(app: FastAPI, parts: _Parts) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """Say that the process runs."""
        return {"status": "ok"}

    @app.get("/ready", responses={503: {"model": ErrorBody}})
    async def is_ready() -> dict[str, str]:
        """Say whether the first answers are behind it."""
        if not parts.ready.is_set():
            raise HTTPException(503, parts.why_not_ready)
        version = parts.service.now.recommender.version
        return {"status": "ready", "catalogue_version": version}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def all_metrics() -> str:
        """Return counters in Prometheus' text format."""
        now = parts.service.now.recommender
        return parts.metrics.text(
            version=now.version, model=now.model.name, n_live=len(now.catalogue.live_items)
        )


def _slate(answer: Recommendation, request_id: str, user_id: str | None) -> ServedSlate:
    return ServedSlate(
        request_id=request_id,
        user_id=user_id or request_id,
        time=int(time.time() * 1000),
        items=answer.items,
        log_probs=answer.log_probs,
        catalogue_version=answer.catalogue_version,
        model=answer.model,
    )
