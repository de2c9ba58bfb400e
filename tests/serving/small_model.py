"""A small model without any training, and calls of an application without a port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tests.agents.test_conformance import N_ITEMS, make_context, make_settings

from hsrl_pipeline.agents.policy_checkpoint import describe_policy
from hsrl_pipeline.agents.registry import build_agent
from hsrl_pipeline.catalogue import LiveCatalogue
from hsrl_pipeline.catalogue.changes import Publication
from hsrl_pipeline.serving.served_model import ServedModel, everything_live
from hsrl_pipeline.serving.user_features import NumberScale, UserEncoder

IDS = ("", *(f"film {number}" for number in range(1, N_ITEMS + 1)))
USERS = UserEncoder({"country": ("NL", "DE", "FR")}, {"age": NumberScale(40.0, 10.0)})
FIRST, LAST = IDS[1], IDS[-1]


def small_model(
    name: str = "hsrl",
    live: Sequence[int] | None = None,
    later: Sequence[int] = (),
    shelves: np.ndarray | None = None,
    **settings: object,
) -> ServedModel:
    """Return a model of 12 items; ``live`` ones are shown first, ``later`` ones may arrive."""
    context = make_context(shelves=shelves)
    unknown = np.isin(np.arange(N_ITEMS + 1), later)
    vectors = np.where(unknown[:, None], np.float32(0.0), context.item_vectors)
    codes = np.where(unknown[:, None], -1, context.codes)
    launch = everything_live(vectors, codes)
    own = make_settings(name, **settings)
    policy = describe_policy(build_agent(name, own, context), own, context, {"dataset": "small"})
    arrivals = None
    if later:
        rows = np.array(later)
        arrivals = Publication(rows, context.item_vectors[rows], context.codes[rows])
    catalogue = launch
    if live is not None:
        catalogue = LiveCatalogue(np.isin(np.arange(N_ITEMS + 1), live), vectors, codes)
    return ServedModel(
        policy, "small", IDS, USERS, launch, catalogue, 20, shelves=shelves, arrivals=arrivals
    )


class Caller:
    """Calls an ASGI application as a client would; ``headers`` are those of the last answer."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.headers: dict[bytes, bytes] = {}

    async def __call__(
        self, method: str, path: str, body: Any = None, *, token: str | None = None
    ) -> tuple[int, Any]:
        """Return status and body; ``body`` is sent as it is when it is bytes."""
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        headers = [(b"content-type", b"application/json")]
        if token is not None:
            headers.append((b"authorization", f"Bearer {token}".encode()))
        scope: Mapping[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "server": ("test", 80),
            "client": ("test", 1),
            "headers": headers,
        }
        sent: list[dict[str, Any]] = []
        chunks = [raw[at : at + 65_536] for at in range(0, len(raw), 65_536)] or [b""]

        async def receive() -> dict[str, Any]:
            if not chunks:
                await asyncio.Event().wait()
            chunk = chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(dict(scope), receive, send)
        content = b"".join(message.get("body", b"") for message in sent[1:])
        self.headers = dict(sent[0]["headers"])
        kind = self.headers[b"content-type"]
        told = json.loads(content) if kind == b"application/json" else content.decode()
        return sent[0]["status"], told


async def until_ready(call: Caller) -> None:
    """Wait for the end of the warm-up."""
    while (await call("GET", "/ready"))[0] != 200:
        await asyncio.sleep(0.01)
