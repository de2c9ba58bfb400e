"""What surrounds every call of the server: body limit, counting, and which version answers."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hsrl_pipeline.serving.live_service import LiveService, Serving
from hsrl_pipeline.serving.metrics import ServerMetrics

MOST_BYTES = 4 * 2**20
"""Largest body of a request."""

SERVING = "hsrl_pipeline.serving"
PATHS = frozenset(
    {
        "/recommend",
        "/feedback",
        "/health",
        "/ready",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/catalogue",
        "/catalogue/rollback",
    }
)
"""Paths that are counted by name; all others are counted together."""


class AsciiJSON(JSONResponse):
    """JSON in ASCII alone: a message may quote text that no encoding can write."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


class BodyTooLarge(Exception):
    """A body went over the limit while it was read."""


def serving_of(scope: Scope, service: LiveService) -> Serving:
    """Return what answers a call from now on, and hold it until the answer is sent.

    Args:
        scope: The call's scope.
        service: What answers now.
    """
    serving = service.now
    serving.enter()
    scope[SERVING].append(serving)
    return serving


class ServingLayer:
    """ASGI middleware around all calls.

    Args:
        app: The application.
        metrics: Where calls are counted.
        most_bytes: Largest body of a request.
    """

    def __init__(self, app: ASGIApp, metrics: ServerMetrics, most_bytes: int) -> None:
        self._app = app
        self._metrics = metrics
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held: list[Serving] = []
        scope[SERVING] = held
        status, received = 500, 0

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most_bytes:
                raise BodyTooLarge
            return message

        async def counted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if self._announced(scope) > self._most_bytes:
                raise BodyTooLarge
            body = await self._whole_body(counted_receive, scope)
            await self._app(scope, body, counted_send)
        except BodyTooLarge:
            told = f"it has more than {self._most_bytes} bytes"
            refusal = AsciiJSON({"field": "body", "error": told}, 413)
            await refusal(scope, receive, counted_send)
        finally:
            for serving in held:
                serving.leave()
            path = scope["path"] if scope["path"] in PATHS else "other"
            self._metrics.count("requests", path=path, status=str(status))

    @staticmethod
    def _announced(scope: Scope) -> int:
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit():
                return int(value[:20])
        return 0

    @staticmethod
    async def _whole_body(receive: Receive, scope: Scope) -> Receive:
        """Read the body before the application does, so that its size is known in time."""
        if scope["method"] not in ("POST", "PUT", "PATCH"):
            return receive
        parts: list[Message] = []
        while True:
            message = await receive()
            parts.append(message)
            if message["type"] != "http.request" or not message.get("more_body", False):
                break

        async def replay() -> Message:
            return parts.pop(0) if parts else await receive()

        return replay
